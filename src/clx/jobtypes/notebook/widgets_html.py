"""Widgets as a page shows them: a picture of their last state, which nobody can change."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

State = Mapping[str, Any]
Outputs = Callable[[Sequence[Mapping[str, Any]]], str]
"""Renders what an ``Output`` widget has caught."""

_SILENT = {"LinkModel", "DirectionalLinkModel", "ControllerModel", "LayoutModel"}
"""Widgets that show nothing in a notebook either, or nothing before somebody uses them."""


_CONTROL = re.compile(r"<(input|select|textarea|progress)\b")


class UnknownWidgetError(Exception):
    """A page cannot show this widget; its message is the name of the widget's model."""


def widget_html(widget: Mapping[str, Any], outputs: Outputs) -> str:
    """The widget of a view, as ``execution/widgets.py`` puts it there.

    Raises:
        UnknownWidgetError: it, or one inside it, is none of ipywidgets' own.
    """
    model, state = str(widget.get("model")), widget.get("state") or {}
    if model in _SILENT or _is_hidden(state):
        return ""
    if model == "OutputModel":
        return outputs(state.get("outputs") or ())
    if model in _BOXES or model in _TITLED:
        return _box(model, state, outputs)
    render, name = _SINGLE.get(model), model.removesuffix("Model")
    if render is None:
        raise UnknownWidgetError(name)
    return render({**state, "name": name})


def _is_hidden(state: State) -> bool:
    layout = state.get("layout")
    inside = layout.get("state") if isinstance(layout, Mapping) else None
    return isinstance(inside, Mapping) and (inside.get("display") == "none" or inside.get("visibility") == "hidden")


def _box(model: str, state: State, outputs: Outputs) -> str:
    children = [child for child in state.get("children") or () if isinstance(child, Mapping)]
    shown = [widget_html(child, outputs) for child in children]
    if model in _TITLED:
        titles = _titles(state, len(shown))
        shown = [
            f'<div class="w-part"><p class="w-title">{escape(title)}</p>{html}</div>'
            for title, html in zip(titles, shown, strict=True)
        ]
    return f'<div class="{_BOXES.get(model, "w-column")}">{"".join(shown)}</div>\n'


def _titles(state: State, number: int) -> list[str]:
    found = state.get("titles") or []
    return [str(found[i]) if i < len(found) else str(i + 1) for i in range(number)]


def _labelled(state: State, inside: str) -> str:
    """*inside* beside the widget's description; without one it is called what the widget is."""
    text = str(state.get("description") or "")
    if text:
        label = text if state.get("description_allow_html") else escape(text)
        return f'<label class="w"><span>{label}</span>{inside}</label>\n'
    named = _CONTROL.sub(rf'<\1 aria-label="{escape(str(state["name"]))}"', inside, count=1)
    return f'<span class="w">{named}</span>\n'


def _input(kind: str, value: Any, **attributes: Any) -> str:
    more = "".join(f' {name}="{escape(str(attributes[name]))}"' for name in attributes if attributes[name] is not None)
    shown = "" if value is None else f' value="{escape(str(value))}"'
    return f'<input disabled type="{kind}"{more}{shown}>'


def _text(state: State) -> str:
    value = state.get("value")
    shown = "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return _labelled(state, _input("text", shown, placeholder=state.get("placeholder") or None))


def _slider(state: State) -> str:
    value = state.get("value")
    readout = f'<output class="w-value">{escape(_number(value))}</output>' if state.get("readout", True) else ""
    if isinstance(value, list):  # a range: HTML has none
        return _labelled(state, readout)
    bounds = {name: state.get(name) for name in ("min", "max", "step")}
    return _labelled(state, _input("range", value, **bounds) + readout)


def _number(value: Any) -> str:
    if isinstance(value, list):
        return " – ".join(map(_number, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _progress(state: State) -> str:
    start, end, value = (_float(state.get(name), other) for name, other in (("min", 0), ("max", 100), ("value", 0)))
    style = str(state.get("bar_style") or "")
    css = f' class="{style}"' if style in {"success", "info", "warning", "danger"} else ""
    share = f'max="{_number(end - start)}" value="{_number(value - start)}"'
    return _labelled(state, f"<progress{css} {share}></progress>")


def _float(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else otherwise


def _checkbox(state: State) -> str:
    checked = {"checked": "checked"} if state.get("value") else {}
    text = escape(str(state.get("description") or state["name"]))
    return f'<label class="w">{_input("checkbox", None, **checked)} <span>{text}</span></label>\n'


def _choice(state: State) -> str:
    labels = state.get("_options_labels") or []
    index: Any = state.get("index")
    chosen = [labels[i] for i in (index if isinstance(index, list) else [index]) if _is_index(i, labels)]
    options = "".join(f"<option selected>{escape(str(label))}</option>" for label in chosen)
    kind = " multiple" if len(chosen) > 1 else ""
    return _labelled(state, f"<select disabled{kind}>{options}</select>")


def _is_index(index: Any, labels: Sequence[Any]) -> bool:
    return isinstance(index, int) and 0 <= index < len(labels)


def _button(state: State) -> str:
    return f'<button type="button" disabled>{escape(str(state.get("description") or "▶"))}</button>\n'


def _media(tag: str) -> Callable[[State], str]:
    def render(state: State) -> str:
        source = (
            f"data:{tag}/{escape(str(state.get('format') or 'png'))};base64,{escape(str(state.get('value') or ''))}"
        )
        if tag == "image":
            size = "".join(
                f' {name}="{state[name]}"' for name in ("width", "height") if str(state.get(name)).isdecimal()
            )
            return f'<img alt=""{size} src="{source}">\n'
        return f'<{tag} controls src="{source}"></{tag}>\n'

    return render


def _html(state: State) -> str:
    return _labelled(state, f'<span class="w-text">{state.get("value") or ""}</span>')


def _label(state: State) -> str:
    return _labelled(state, f'<span class="w-text">{escape(str(state.get("value") or ""))}</span>')


def _textarea(state: State) -> str:
    return _labelled(state, f"<textarea disabled>{escape(str(state.get('value') or ''))}</textarea>")


def _password(state: State) -> str:
    return _labelled(state, _input("password", "•" * min(len(str(state.get("value") or "")), 12)))


def _valid(state: State) -> str:
    return _labelled(
        state, "<span>✔</span>" if state.get("value") else f"<span>✘ {escape(str(state.get('readout') or ''))}</span>"
    )


_BOXES = {
    "BoxModel": "w-row",
    "HBoxModel": "w-row",
    "VBoxModel": "w-column",
    "GridBoxModel": "w-row",
}
_TITLED = {"TabModel", "AccordionModel", "StackModel"}
_SINGLE: dict[str, Callable[[State], str]] = {
    **dict.fromkeys(("FloatProgressModel", "IntProgressModel"), _progress),
    **dict.fromkeys(
        ("IntSliderModel", "FloatSliderModel", "FloatLogSliderModel", "IntRangeSliderModel", "FloatRangeSliderModel"),
        _slider,
    ),
    **dict.fromkeys(
        (
            *("IntTextModel", "BoundedIntTextModel", "FloatTextModel", "BoundedFloatTextModel", "TextModel"),
            *("ComboboxModel", "DatePickerModel", "DatetimeModel", "NaiveDatetimeModel", "TimeModel"),
            *("ColorPickerModel", "TagsInputModel", "ColorsInputModel", "FloatsInputModel", "IntsInputModel"),
        ),
        _text,
    ),
    **dict.fromkeys(
        (
            *("DropdownModel", "SelectModel", "SelectMultipleModel", "RadioButtonsModel", "ToggleButtonsModel"),
            *("SelectionSliderModel", "SelectionRangeSliderModel"),
        ),
        _choice,
    ),
    **dict.fromkeys(("CheckboxModel", "ToggleButtonModel"), _checkbox),
    **dict.fromkeys(("ButtonModel", "PlayModel", "FileUploadModel"), _button),
    **dict.fromkeys(("HTMLModel", "HTMLMathModel"), _html),
    "LabelModel": _label,
    "TextareaModel": _textarea,
    "PasswordModel": _password,
    "ValidModel": _valid,
    "ImageModel": _media("image"),
    "VideoModel": _media("video"),
    "AudioModel": _media("audio"),
}
