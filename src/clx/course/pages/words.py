"""What the pages of a course as a whole say beside the words of all pages, by language."""

from __future__ import annotations

from collections.abc import Mapping

from clx.jobtypes.notebook.labels import words_in

_KEYS = (
    *("previous", "next", "way", "search", "found", "nothing", "unsearchable"),
    *("new", "changed", "editions", "page", "slides", "missing", "failed", "stale"),
    *("sitemap", "deck", "language", "courses"),
)
_TABLE = {
    "en": (
        *("Previous", "Next", "Way through the course", "Search the course", "Found", "Nothing found."),
        "The course cannot be searched: search.js is missing.",
        *("new", "changed", "Editions", "Page", "Slides", "not built", "failed", "out of date"),
        *("All that was built", "Deck", "Language", "Courses"),
    ),
    "de": (
        *("Zurück", "Weiter", "Weg durch den Kurs", "Im Kurs suchen", "Gefunden", "Nichts gefunden."),
        "Der Kurs kann nicht durchsucht werden: search.js fehlt.",
        *("neu", "geändert", "Ausgaben", "Seite", "Folien", "nicht gebaut", "fehlgeschlagen", "veraltet"),
        *("Alles, was gebaut wurde", "Foliensatz", "Sprache", "Kurse"),
    ),
    "fr": (
        *("Précédent", "Suivant", "Parcours du cours", "Rechercher dans le cours", "Résultats", "Aucun résultat."),
        "La recherche est impossible : search.js manque.",
        *("nouveau", "modifié", "Éditions", "Page", "Diapositives", "pas construit", "échec", "périmé"),
        *("Tout ce qui a été construit", "Support", "Langue", "Cours"),
    ),
    "es": (
        *("Anterior", "Siguiente", "Recorrido del curso", "Buscar en el curso", "Resultados", "Sin resultados."),
        "No se puede buscar: falta search.js.",
        *("nuevo", "cambiado", "Ediciones", "Página", "Diapositivas", "sin generar", "fallido", "obsoleto"),
        *("Todo lo generado", "Presentación", "Idioma", "Cursos"),
    ),
    "it": (
        *("Precedente", "Successivo", "Percorso del corso", "Cerca nel corso", "Risultati", "Nessun risultato."),
        "La ricerca non è possibile: manca search.js.",
        *("nuovo", "modificato", "Edizioni", "Pagina", "Diapositive", "non generato", "fallito", "non aggiornato"),
        *("Tutto ciò che è stato generato", "Lezione", "Lingua", "Corsi"),
    ),
    "pt": (
        *("Anterior", "Seguinte", "Percurso do curso", "Pesquisar no curso", "Resultados", "Sem resultados."),
        "Não é possível pesquisar: falta search.js.",
        *("novo", "alterado", "Edições", "Página", "Diapositivos", "não gerado", "falhou", "desatualizado"),
        *("Tudo o que foi gerado", "Apresentação", "Língua", "Cursos"),
    ),
    "nl": (
        *("Vorige", "Volgende", "Weg door de cursus", "Zoeken in de cursus", "Gevonden", "Niets gevonden."),
        "De cursus kan niet worden doorzocht: search.js ontbreekt.",
        *("nieuw", "gewijzigd", "Uitgaven", "Pagina", "Dia's", "niet gebouwd", "mislukt", "verouderd"),
        *("Alles wat gebouwd is", "Presentatie", "Taal", "Cursussen"),
    ),
    "pl": (
        *("Wstecz", "Dalej", "Droga przez kurs", "Szukaj w kursie", "Znaleziono", "Nic nie znaleziono."),
        "Nie można przeszukać kursu: brak search.js.",
        *("nowe", "zmienione", "Wydania", "Strona", "Slajdy", "niezbudowane", "błąd", "nieaktualne"),
        *("Wszystko, co zbudowano", "Prezentacja", "Język", "Kursy"),
    ),
    "ar": (
        *("السابق", "التالي", "مسار الدورة", "البحث في الدورة", "النتائج", "لا توجد نتائج."),
        "لا يمكن البحث: الملف search.js غير موجود.",
        *("جديد", "معدل", "الإصدارات", "صفحة", "شرائح", "لم يُنشأ", "فشل", "قديم"),
        *("كل ما أُنشئ", "العرض", "اللغة", "الدورات"),
    ),
    "he": (
        *("הקודם", "הבא", "הדרך בקורס", "חיפוש בקורס", "תוצאות", "לא נמצא דבר."),
        "אי אפשר לחפש: הקובץ search.js חסר.",
        *("חדש", "השתנה", "מהדורות", "דף", "שקופיות", "לא נבנה", "נכשל", "לא עדכני"),
        *("כל מה שנבנה", "מצגת", "שפה", "קורסים"),
    ),
}
_WORDS = {language: dict(zip(_KEYS, words, strict=True)) for language, words in _TABLE.items()}
_LANGUAGES = {
    "ar": "العربية",
    "cs": "Čeština",
    "da": "Dansk",
    "de": "Deutsch",
    "en": "English",
    "es": "Español",
    "fa": "فارسی",
    "fi": "Suomi",
    "fr": "Français",
    "he": "עברית",
    "hu": "Magyar",
    "it": "Italiano",
    "ja": "日本語",
    "ko": "한국어",
    "nl": "Nederlands",
    "no": "Norsk",
    "pl": "Polski",
    "pt": "Português",
    "ru": "Русский",
    "sv": "Svenska",
    "tr": "Türkçe",
    "uk": "Українська",
    "zh": "中文",
}


def words(language: str, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """The words of a language, English ones for any that has none; *own*: what the course says instead."""
    base = language.partition("-")[0]
    return {**_WORDS["en"], **_WORDS.get(base, {}), **words_in(language, own)}


def format_word(words: Mapping[str, str], format_: str) -> str:
    """What a format is called."""
    names = {"html": "page", "notebook": "notebook", "code": "code", "slides": "slides"}
    if format_ in ("pdf", "slides-pdf"):
        return "PDF" if format_ == "pdf" else f"PDF ({words['slides']})"
    return words[names[format_]] if format_ in names else format_


def language_name(language: str) -> str:
    """What a language is called by who speaks it, else its code."""
    base, _, region = language.partition("-")
    name = _LANGUAGES.get(base)
    return f"{name} ({region})" if name and region else name or language
