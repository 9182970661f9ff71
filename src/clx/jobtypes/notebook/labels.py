"""The words that pages say by themselves, in the page's language: a course may say others (``labels:``)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clx.jobtypes.notebook.slide_words import SLIDE_LABELS

_LONG_CODES = "arc|ast|ckb|cmn|dsb|fil|frr|gsw|haw|hsb|kab|nds|nqo|sco|syr|tok|yue"
"""Languages without a code of two letters; not any three letters: ``sql`` and ``eng`` are slips."""
LANGUAGE = re.compile(rf"(?:[a-z]{{2}}|{_LONG_CODES})(?:-[A-Z][a-z]{{3}})?(?:-(?:[A-Z]{{2}}|[0-9]{{3}}))?")
"""A language tag (BCP 47) as far as pages need it: language, script, region: ``de``, ``pt-BR``, ``zh-Hans``."""

_KEYS = (
    *("contents", "skip", "empty", "notes", "output", "answer"),
    *("code_along", "completed", "speaker"),
    *("note", "tip", "important", "warning", "caution"),
    *("copy", "copied", "light", "dark", "notebook", "code", "diagram"),
    *("show_input", "show_output", "show_cell"),
    "awaited",
)
_TABLE = {
    "en": (
        *("Contents", "Skip to content", "Empty cell for your own code", "Notes", "Output of cell", "Answer"),
        *("Code-Along", "Completed", "Speaker"),
        *("Note", "Tip", "Important", "Warning", "Caution"),
        *("Copy", "Copied", "Light colours", "Dark colours", "Notebook", "Code", "Diagram"),
        *("Show code", "Show output", "Show cell"),
        "Appears when the cell before has run",
    ),
    "de": (
        *("Inhalt", "Zum Inhalt springen", "Leere Zelle für eigenen Code", "Notizen", "Ausgabe von Zelle", "Antwort"),
        *("Zum Mitmachen", "Vollständig", "Vortrag"),
        *("Hinweis", "Tipp", "Wichtig", "Warnung", "Vorsicht"),
        *("Kopieren", "Kopiert", "Helle Farben", "Dunkle Farben", "Notebook", "Code", "Diagramm"),
        *("Code zeigen", "Ausgabe zeigen", "Zelle zeigen"),
        "Erscheint, wenn die Zelle davor gelaufen ist",
    ),
    "fr": (
        *("Sommaire", "Aller au contenu", "Cellule vide pour votre code", "Notes"),
        *("Sortie de la cellule", "Réponse"),
        *("À compléter", "Complet", "Présentation"),
        *("Remarque", "Astuce", "Important", "Avertissement", "Attention"),
        *("Copier", "Copié", "Couleurs claires", "Couleurs sombres", "Notebook", "Code", "Diagramme"),
        *("Afficher le code", "Afficher la sortie", "Afficher la cellule"),
        "Apparaît quand la cellule précédente a été exécutée",
    ),
    "es": (
        *("Contenido", "Saltar al contenido", "Celda vacía para tu código", "Notas", "Salida de la celda", "Respuesta"),
        *("Para completar", "Completo", "Presentación"),
        *("Nota", "Consejo", "Importante", "Advertencia", "Precaución"),
        *("Copiar", "Copiado", "Colores claros", "Colores oscuros", "Notebook", "Código", "Diagrama"),
        *("Mostrar el código", "Mostrar la salida", "Mostrar la celda"),
        "Aparece cuando se ha ejecutado la celda anterior",
    ),
    "it": (
        *("Indice", "Vai al contenuto", "Cella vuota per il tuo codice", "Note", "Output della cella", "Risposta"),
        *("Da completare", "Completo", "Presentazione"),
        *("Nota", "Suggerimento", "Importante", "Avviso", "Attenzione"),
        *("Copia", "Copiato", "Colori chiari", "Colori scuri", "Notebook", "Codice", "Diagramma"),
        *("Mostra il codice", "Mostra l'output", "Mostra la cella"),
        "Appare dopo l'esecuzione della cella precedente",
    ),
    "pt": (
        *("Conteúdo", "Ir para o conteúdo", "Célula vazia para o seu código", "Notas", "Saída da célula", "Resposta"),
        *("Para completar", "Completo", "Apresentação"),
        *("Nota", "Dica", "Importante", "Aviso", "Cuidado"),
        *("Copiar", "Copiado", "Cores claras", "Cores escuras", "Notebook", "Código", "Diagrama"),
        *("Mostrar o código", "Mostrar a saída", "Mostrar a célula"),
        "Aparece depois de executar a célula anterior",
    ),
    "nl": (
        *("Inhoud", "Naar de inhoud", "Lege cel voor je eigen code", "Notities", "Uitvoer van cel", "Antwoord"),
        *("Om mee te doen", "Volledig", "Presentatie"),
        *("Opmerking", "Tip", "Belangrijk", "Waarschuwing", "Let op"),
        *("Kopiëren", "Gekopieerd", "Lichte kleuren", "Donkere kleuren", "Notebook", "Code", "Diagram"),
        *("Code tonen", "Uitvoer tonen", "Cel tonen"),
        "Verschijnt zodra de vorige cel is uitgevoerd",
    ),
    "pl": (
        *("Spis treści", "Przejdź do treści", "Pusta komórka na własny kod", "Notatki"),
        *("Wynik komórki", "Odpowiedź"),
        *("Do uzupełnienia", "Pełna wersja", "Prezentacja"),
        *("Uwaga", "Wskazówka", "Ważne", "Ostrzeżenie", "Ostrożnie"),
        *("Kopiuj", "Skopiowano", "Jasne kolory", "Ciemne kolory", "Notebook", "Kod", "Diagram"),
        *("Pokaż kod", "Pokaż wynik", "Pokaż komórkę"),
        "Pojawia się po wykonaniu poprzedniej komórki",
    ),
    "ar": (
        *("المحتويات", "انتقل إلى المحتوى", "خلية فارغة لكتابة الكود", "ملاحظات", "مخرجات الخلية", "الإجابة"),
        *("للتطبيق", "كامل", "العرض"),
        *("ملاحظة", "نصيحة", "مهم", "تحذير", "تنبيه"),
        *("نسخ", "تم النسخ", "ألوان فاتحة", "ألوان داكنة", "دفتر", "الكود", "مخطط"),
        *("إظهار الكود", "إظهار المخرجات", "إظهار الخلية"),
        "تظهر بعد تشغيل الخلية السابقة",
    ),
    "he": (
        *("תוכן העניינים", "דלג לתוכן", "תא ריק לקוד שלך", "הערות", "פלט של תא", "תשובה"),
        *("להשלמה", "מלא", "מצגת"),
        *("הערה", "עצה", "חשוב", "אזהרה", "זהירות"),
        *("העתק", "הועתק", "צבעים בהירים", "צבעים כהים", "מחברת", "קוד", "תרשים"),
        *("הצג קוד", "הצג פלט", "הצג תא"),
        "מופיעה לאחר הרצת התא הקודם",
    ),
}
_WORDS: dict[str, dict[str, str]] = {
    language: dict(zip(_KEYS, words, strict=True)) for language, words in _TABLE.items()
}
LABELS = (*_KEYS, "slides", *SLIDE_LABELS)
"""What a course may name; ``slides`` is the directory of the decks' files."""
_RIGHT_TO_LEFT = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "nqo", "ps", "sd", "syr", "ug", "ur", "yi"})
_RIGHT_TO_LEFT_SCRIPTS = frozenset({"Adlm", "Arab", "Hebr", "Nkoo", "Rohg", "Syrc", "Thaa"})


def words_in(language: str, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """The words of a page in a language, English where CLX has none; *own*: those that the course says instead."""
    base = language.partition("-")[0]
    return {**_WORDS["en"], **_WORDS.get(base, {}), **_WORDS.get(language, {}), **(own or {})}


def direction(language: str) -> str:
    """``rtl`` or ``ltr``: which way text of a language is written."""
    base, *rest = language.split("-")
    scripts = [part for part in rest if len(part) == 4]
    if scripts:
        return "rtl" if scripts[0] in _RIGHT_TO_LEFT_SCRIPTS else "ltr"
    return "rtl" if base in _RIGHT_TO_LEFT else "ltr"


def as_language(text: str) -> str | None:
    """What is meant by a language tag whatever its case and marks (``PT_br`` → ``pt-BR``); ``None``: it is none."""
    base, *rest = text.strip().replace("_", "-").split("-")
    found = "-".join([base.lower(), *(part.title() if len(part) == 4 else part.upper() for part in rest)])
    return found if LANGUAGE.fullmatch(found) else None
