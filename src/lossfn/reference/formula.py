"""Formulas as text that a terminal can show: LaTeX is read as MathML, and its parts are laid out as blocks of lines."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SUPERSCRIPTS = dict(
    zip("0123456789+−()n\N{PRIME}\N{DOUBLE PRIME}*", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿ\N{PRIME}\N{DOUBLE PRIME}*", strict=True)
)
SUBSCRIPTS = dict(zip("0123456789+−()", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎", strict=True))
# Accents, as the characters that combine with the letter before them.
ACCENTS = {"^": "\N{COMBINING CIRCUMFLEX ACCENT}", "~": "\N{COMBINING TILDE}", "¯": "\N{COMBINING MACRON}"}
# The first, middle, repeated and last line of a bracket that spans several.
TALL = {
    "{": "⎧⎨⎪⎩",
    "(": "⎛⎜⎜⎝",
    ")": "⎞⎟⎟⎠",
    "[": "⎡⎢⎢⎣",
    "]": "⎤⎥⎥⎦",
    "}": "⎫⎬⎪⎭",
    "|": "││││",
}
MATRIX = r"\begin{pmatrix}"
SIGNS = ("+", "−", "±")
PUNCTUATION = {",": "comma", "(": "open", "[": "open", ")": "close", "]": "close"}
RELATIONS = ("=", "<", ">", "≤", "≥", "\N{LOGICAL AND}", "\N{LOGICAL OR}", "≠", "∈", "→", "·", "×")


@dataclass(frozen=True)
class Block:
    """Lines of equal length, the one that stands beside other blocks, and what they are together.

    ``kind`` is an atom, a function's name, something in brackets, a product, a sum, an operator or a comma.
    """

    lines: tuple[str, ...]
    baseline: int = 0
    kind: str = "atom"

    @property
    def width(self) -> int:
        """Number of columns."""
        return _width(self.lines[0])


def _width(line: str) -> int:
    """Return the number of columns of a line: accents take none."""
    return sum(not unicodedata.combining(character) for character in line)


def _padded(line: str, width: int) -> str:
    return line + " " * (width - _width(line))


def plain_formula(latex: str, width: float = math.inf) -> str:
    r"""Return a formula as text, of several lines where it has cases or a matrix.

    A matrix that is wider than ``width`` is shown by its entries, with the numbers of their rows and columns. Other
    wide formulas continue below, from a sign on or, with a dot, from a factor on. What has several lines and cannot be
    broken so stays LaTeX, whose one line may be wrapped anywhere.

    Examples
    --------
    >>> from lossfn.reference.formula import plain_formula
    >>> print(plain_formula(r"\frac{r^{2}}{2 \delta} + \log\left(1 - p\right)"))
    r²/(2 δ) + log(1 − p)
    """
    from latex2mathml.converter import convert

    # Without a space the converter takes the two names for one.
    tree = ElementTree.fromstring(convert(latex.replace(r"\log\cosh", r"\log\,\cosh")))
    lines = _block(tree).lines
    if _widest(lines) > width:
        is_matrix = latex.startswith(MATRIX) and latex.count(MATRIX) == 1
        found = _entries(tree, width) if is_matrix else _fitted(list(tree), width)
        if found is None:
            return latex
        lines = found
    return "\n".join(line.rstrip() for line in lines)


def _widest(lines: Sequence[str]) -> int:
    return max(map(_width, lines))


def _entries(tree: Element, width: float) -> tuple[str, ...] | None:
    """Return the entries of the matrix that a formula consists of; nothing if one of them does not fit."""
    table = next(element for element in tree.iter() if element.tag.endswith("mtable"))
    lines: list[str] = []
    for row, cells in enumerate(table, start=1):
        for column, cell in enumerate(cells, start=1):
            number = f"{row}, {column}   " if len(cells) > 1 else f"{row}   "
            drawn = _fitted(list(cell), width - len(number))
            if drawn is None:
                return None
            whole = _row(list(cell))
            lines += _beside(number, whole if drawn == whole.lines else Block(drawn)).lines
    return tuple(lines)


def _fitted(children: Sequence[Element], width: float) -> tuple[str, ...] | None:
    """Return a row as it is or in parts; nothing if it has several lines and none of these forms is narrow enough."""
    whole, parts = _row(children).lines, _broken(children, width)
    if _widest(whole) <= width:
        return whole
    if _widest(parts) <= width:
        return parts
    return whole if len(whole) == 1 else None


def _broken(children: Sequence[Element], width: float) -> tuple[str, ...]:
    """Return a row in parts below each other, so that each is at most so wide, as far as signs and factors allow."""
    while len(children) == 1 and children[0].tag.endswith("mrow"):
        children = list(children[0])
    blocks = [block for block in _blocks(children) if block.kind != "space"]
    if _join(blocks).width <= width:
        return _join(blocks).lines
    lines: list[str] = []
    begun = 0
    while begun < len(blocks):
        ends = [end for end in _ends(blocks, begun) if _part(blocks, begun, end).width <= width]
        signs = [end for end in ends if end == len(blocks) or blocks[end].kind == "sign"]
        end = max(signs or ends, default=_ends(blocks, begun)[0])
        # Parts of several lines stand apart.
        drawn = _part(blocks, begun, end).lines
        lines += [""] * (bool(lines) and len(drawn) > 1) + list(drawn)
        begun = end
    return tuple(lines)


def _part(blocks: Sequence[Block], begun: int, end: int) -> Block:
    first = blocks[begun]
    if begun == 0:
        return _join(blocks[:end])
    if first.kind == "sign":
        return _beside(first, " ", _join(blocks[begun + 1 : end]))
    return _beside("· ", _join(blocks[begun:end]))


def _ends(blocks: Sequence[Block], begun: int) -> list[int]:
    """Return where a part may end: before a sign between terms, or before a factor."""
    found, depth = [], 0
    for place in range(begun, len(blocks)):
        kind, before = blocks[place].kind, blocks[place - 1].kind if place else "sign"
        separates = kind == "sign" and before not in ("sign", "relation", "comma", "open")
        is_factor = kind not in ("sign", "relation", "comma", "open", "close", "words")
        is_factor = is_factor and before in ("atom", "brackets", "product", "close")
        if place > begun and not depth and (separates or is_factor):
            found.append(place)
        depth += {"open": 1, "close": -1}.get(kind, 0)
    return [*found, len(blocks)]


def _block(element: Element) -> Block:
    tag = element.tag.rpartition("}")[2]
    children = list(element)
    match tag:
        case "mi" | "mn" | "mo" | "mtext":
            return _leaf(element)
        case "mspace":
            return Block(("",), kind="space")
        case "mfrac":
            return _fraction(_block(children[0]), _block(children[1]))
        case "msup":
            return _script(_block(children[0]), _block(children[1]), "^", SUPERSCRIPTS)
        case "msub":
            return _script(_block(children[0]), _block(children[1]), "_", SUBSCRIPTS)
        case "msubsup":
            base = _script(_block(children[0]), _block(children[1]), "_", SUBSCRIPTS)
            return _script(base, _block(children[2]), "^", SUPERSCRIPTS)
        case "msqrt":
            inside = _row(children)
            return _beside("√", inside if inside.kind == "atom" else _bracketed(inside))
        case "mover":
            base, accent = _block(children[0]), _block(children[1])
            # One character where there is one: terminals place accents badly.
            return Block((unicodedata.normalize("NFC", base.lines[0] + ACCENTS.get(accent.lines[0], "")),))
        case "mtable":
            return _table(element)
    return _row(children)


def _leaf(element: Element) -> Block:
    text = (element.text or "").replace("\N{NO-BREAK SPACE}", " ").strip()
    if element.tag.endswith("mtext"):
        return Block((text,), kind="words")
    if text in SIGNS or text in RELATIONS:
        return Block((text,), kind="sign" if text in SIGNS else "relation")
    if text in PUNCTUATION:
        return Block((text,), kind=PUNCTUATION[text])
    is_function = text in ("σ", "Φ") or (len(text) > 1 and not text[0].isdigit())
    if element.get("mathvariant") == "bold" or (is_function and element.get("mathvariant") != "normal"):
        return Block((text,), kind="function")
    return Block((text,))


def _row(children: Sequence[Element]) -> Block:
    """Lay parts out beside each other, with the spaces that a typesetter would leave."""
    return _join(_blocks(children))


def _blocks(children: Sequence[Element]) -> list[Block]:
    children = _words(children)
    if len(children) > 1 and children[0].get("form") == "prefix" and children[-1].get("form") == "postfix":
        return [_bracketed(_row(children[1:-1]), children[0].text or "", children[-1].text or "")]
    blocks: list[Block] = []
    for child in children:
        block = _block(child)
        if child.tag.endswith("mtable") and blocks and blocks[-1].lines[0] in TALL:
            # The brace of cases, or the bracket of a matrix.
            block = _bracketed(block, blocks.pop().lines[0], "")
        elif block.kind == "close" and blocks and len(blocks[-1].lines) > 1:
            block = _bracketed(blocks.pop(), "", block.lines[0])
        elif blocks:
            # What stands behind cases is no part of the last one.
            blocks[-1] = _closed(blocks[-1])
        blocks.append(block)
    return blocks


def _words(children: Sequence[Element]) -> list[Element]:
    """Join the upright letters that a converter took apart."""
    joined: list[Element] = []
    for child in children:
        upright = child.tag.endswith("mi") and child.get("mathvariant") == "normal"
        if upright and joined and joined[-1].get("mathvariant") == "normal":
            joined[-1].text = f"{joined[-1].text}{child.text}"
        else:
            joined.append(child)
    return joined


def _join(blocks: Sequence[Block]) -> Block:
    result, previous, is_sum = Block(("",)), "start", False
    for block in blocks:
        if block.kind == "space":
            continue
        # A sign at the start of a term belongs to what follows it.
        leads = block.kind == "sign" and previous in ("start", "open", "sign", "relation", "comma")
        kind = "lead" if leads else block.kind
        is_sum = is_sum or kind in ("lead", "sign", "relation")
        applied = previous == "function" and kind in ("brackets", "open")
        tight = applied or previous in ("start", "lead", "open") or kind in ("comma", "close")
        result = _beside(result, "" if tight else " ", block)
        previous = kind
    if len(blocks) == 1:
        kind = blocks[0].kind
    elif is_sum:
        kind = "sum"
    elif [block.kind for block in blocks] == ["function", "brackets"]:
        kind = "atom"
    else:
        kind = "function" if {block.kind for block in blocks} == {"function"} else "product"
    return Block(result.lines, result.baseline, kind)


def _beside(*parts: Block | str) -> Block:
    """Put blocks beside each other, their baselines on one line."""
    blocks = [Block((part,)) if isinstance(part, str) else part for part in parts]
    above = max(block.baseline for block in blocks)
    below = max(len(block.lines) - block.baseline for block in blocks)
    lines = [""] * (above + below)
    for block in blocks:
        start = above - block.baseline
        for place in range(above + below):
            inside = start <= place < start + len(block.lines)
            lines[place] += block.lines[place - start] if inside else " " * block.width
    return Block(tuple(lines), above)


def _bracketed(inside: Block, opening: str = "(", closing: str = ")") -> Block:
    height = len(inside.lines)

    def drawn(bracket: str) -> Block:
        if height == 1 or not bracket:
            return Block((bracket,) * height, inside.baseline)
        drawing = TALL[bracket]
        body = [drawing[2]] * (height - 2)
        if height > 2:
            body[(height - 3) // 2] = drawing[1]
        return Block((drawing[0], *body, drawing[3]), inside.baseline)

    both = _beside(drawn(opening), inside, drawn(closing))
    return Block(both.lines, both.baseline, "brackets")


def _fraction(above: Block, below: Block) -> Block:
    if len(above.lines) == len(below.lines) == 1:
        # The name of a function that stands alone is a symbol.
        if above.kind not in ("atom", "brackets", "product", "function"):
            above = _bracketed(above)
        if below.kind not in ("atom", "brackets", "function"):
            below = _bracketed(below)
        return Block((f"{above.lines[0]}/{below.lines[0]}",))
    width = max(above.width, below.width)
    lines = [
        _padded(" " * ((width - _width(line)) // 2) + line, width) for line in (*above.lines, "─" * width, *below.lines)
    ]
    return Block(tuple(lines), len(above.lines))


def _script(base: Block, script: Block, mark: str, small: dict[str, str]) -> Block:
    text = script.lines[0]
    if all(character in small for character in text):
        raised = "".join(small[character] for character in text)
    else:
        raised = f"{mark}{text}" if script.kind in ("atom", "brackets") and "/" not in text else f"{mark}({text})"
    both = _beside(base, raised)
    return Block(both.lines, both.baseline, "function" if base.kind == "function" else "atom")


def _table(table: Element) -> Block:
    rows = [[_row(list(cell)) for cell in row] for row in table]
    # Cases within cases end where the next column begins.
    rows = [[*(_closed(cell) for cell in row[:-1]), row[-1]] for row in rows]
    widths = [max(row[column].width for row in rows) for column in range(len(rows[0]))]
    blocks = []
    for row in rows:
        cells: list[Block | str] = []
        for cell, width in zip(row, widths, strict=True):
            cells += [Block(tuple(_padded(line, width) for line in cell.lines), cell.baseline), "   "]
        blocks.append(_beside(*cells[:-1]))
    tall = any(len(block.lines) > 1 for block in blocks)
    lines: list[str] = []
    for block in blocks:
        # Rows of several lines stand apart.
        lines += [" " * block.width] * (tall and bool(lines)) + list(block.lines)
    return Block(tuple(lines), (len(lines) - 1) // 2)


def _closed(block: Block) -> Block:
    return _bracketed(block, "", "}") if block.lines[0].startswith("⎧") else block
