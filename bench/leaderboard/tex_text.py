"""Any text as LaTeX that sets it and does nothing else, in plain ASCII, so that no encoding or font package matters.

A name may hold whatever a user's file holds. What pdflatex cannot set is replaced by something readable, such as
"(rocket)"; then every character is written on its own, from a table of what is known to be harmless.
"""

import re
import unicodedata

from bench.leaderboard.words import plain

# A quote is active in some languages of babel.
ASCII = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "`": r"\textasciigrave{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\symbol{34}"},
}
GREEK = {
    **{"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta", "η": "eta", "θ": "theta"},
    **{"ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma"},
    **{"τ": "tau", "υ": "upsilon", "φ": "varphi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta"},
    **{"Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega"},
}
MATHS = {
    **{"±": "pm", "×": "times", "·": "cdot", "≤": "leq", "≥": "geq", "≈": "approx", "≠": "neq", "∞": "infty"},
    **{"→": "rightarrow", "←": "leftarrow", "↑": "uparrow", "↓": "downarrow", "↔": "leftrightarrow", "µ": "mu"},
    **{"√": "surd", "∈": "in", "†": "dagger", "‡": "ddagger", "∇": "nabla", "∂": "partial"},
}
LETTERS = {
    **{"–": "textendash", "—": "textemdash", "‘": "textquoteleft", "’": "textquoteright", "“": "textquotedblleft"},
    **{"”": "textquotedblright", "…": "dots", "§": "S", "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"},
    **{"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ı": "i"},
}
COMMANDS = (
    {"−": "$-$", "°": r"$^{\circ}$"}
    | {c: f"$\\{name}$" for c, name in (GREEK | MATHS).items()}
    | {c: f"\\{name}{{}}" for c, name in LETTERS.items()}
    | ASCII
)
ACCENTS = {
    **{"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": "."},
    **{"\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c"},
}
WRITTEN_OUT = {"ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "đ": "d", "Đ": "D", "⁄": "/", "ς": "σ", "ϕ": "φ", "ϵ": "ε"}


def legible(text: str) -> str:
    """The same in characters that can be set: of one that cannot, its parts, its name or its number."""
    return "".join(map(_legible, unicodedata.normalize("NFC", plain(text))))


def _legible(character: str) -> str:
    if character.isascii() or character in COMMANDS or _accented(character):
        return character
    if character in WRITTEN_OUT:
        return WRITTEN_OUT[character]
    parts = unicodedata.normalize("NFKD", character)
    simple = "".join(WRITTEN_OUT.get(part, part) for part in parts if not unicodedata.combining(part))
    if simple.strip() and all(part.isascii() or part in COMMANDS for part in simple):
        return simple
    kind, name = unicodedata.category(character), unicodedata.name(character, "")
    if kind.startswith("M"):  # marks on what comes before, such as the one that asks for a picture
        return ""
    return f"({name.lower()})" if name and kind.startswith("S") else f"(U+{ord(character):04X})"


def _accented(character: str) -> str:
    """A letter with one accent as LaTeX writes it; nothing for any other character."""
    parts = unicodedata.normalize("NFD", character)
    if len(parts) != 2 or not (parts[0].isascii() and parts[0].isalpha()) or parts[1] not in ACCENTS:
        return ""
    return f"\\{ACCENTS[parts[1]]}{{{parts[0]}}}"


def escape(text: str) -> str:
    """As LaTeX, for a line of text or a cell of a table."""
    # At the beginning of a row these would be an argument of the `\\` before it.
    return re.sub(r"^([\[*])", r"{\1}", _set(legible(text)))


def breakable(text: str) -> str:
    """As LaTeX, for a paragraph: with places to break a line in words that are long, as ids are."""
    words = re.split(r"(\s+)", legible(text))
    return "".join(r"\allowbreak{}".join(map(_set, re.findall(r"[^/]{1,24}/*|/+", word))) or word for word in words)


def _set(text: str) -> str:
    written = "".join(
        character if character.isascii() and character not in ASCII else COMMANDS.get(character) or _accented(character)
        for character in text
    )
    return re.sub(r"([-,'])(?=[-,'])", r"\1{}", written)  # or fonts make one sign of two


def fold(text: str, width: float) -> list[str]:
    """Lines of legible text no wider than that, in digits; broken after a space, `_`, `-` or `/` where there is one."""
    lines = [""]
    for piece in re.findall(r"[^\s/_-]*[\s/_-]?", legible(text)):
        if lines[-1] and wide(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        for character in piece:
            if wide(lines[-1] + character.rstrip()) > width:
                lines.append("")
            lines[-1] += character
    return [line.strip() for line in lines]


def wide(text: str) -> float:
    """About how wide it is set, in digits of the same size: for choosing what fits, with some to spare."""
    return sum(map(_wide, text), start=0.0)


def _wide(character: str) -> float:
    if character in "iljtfI.,:;'|!()[]/ ":
        return 0.6
    if character == "W":
        return 2.1
    if character in "mwM%@" or ord(character) > 255:
        return 1.7
    return 1.4 if character.isupper() else 1.05
