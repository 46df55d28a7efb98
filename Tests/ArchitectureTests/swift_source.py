"""Just enough of Swift's lexical grammar to look at sources without their comments and strings."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def files(*folders):
    return sorted(f for folder in folders for f in (ROOT / folder).glob("**/*.swift") if ".build" not in str(f.relative_to(ROOT)))


def target_of(file):
    return file.relative_to(ROOT / "Sources").parts[0]


def blank(text):
    return "".join("\n" if c == "\n" else " " for c in text)


TOKEN = re.compile(
    r"//[^\n]*"
    r"|/\*.*?\*/"
    r'|#+".*?"#+'
    r'|""".*?"""'
    r'|"(?:\\.|[^"\\\n])*"',
    re.S,
)


def code(text):
    """`text` with comments and string literals blanked; line numbers and columns stay."""
    return TOKEN.sub(lambda m: ('"' + blank(m[0][1:-1]) + '"') if m[0][0] == '"' and len(m[0]) > 1 else blank(m[0]), text)


FUNCTION = re.compile(r"\b(?:func\s+[^\s(<]+|init[?!]?(?=\s*[(<])|deinit|subscript(?=\s*[(<]))")
NEXT_MEMBER = re.compile(r"\n\s*(?:public|package|private|internal|func|var|let|static|case|init|///|@)")


def body_start(plain, position):
    """Where the `{` of the declaration that goes on at `position` stands; None if it has no body."""
    depth = 0
    while position < len(plain):
        character = plain[position]
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
            if depth < 0:
                return None
        elif depth == 0 and character == "{":
            return position
        elif depth == 0 and (character == "}" or (character == "\n" and NEXT_MEMBER.match(plain, position))):
            return None  # a requirement of a protocol
        position += 1
    return None


def body_end(plain, position):
    depth = 0
    for place in range(position, len(plain)):
        if plain[place] == "{":
            depth += 1
        elif plain[place] == "}":
            depth -= 1
            if depth == 0:
                return place
    return len(plain)


def functions(text):
    """(name, first line, number of lines) of each function, initialiser and subscript that has a body."""
    plain = code(text)
    found = []
    for match in FUNCTION.finditer(plain):
        if plain[: match.start()].rstrip().endswith("."):
            continue  # a call: .init(...)
        opened = body_start(plain, match.end())
        if opened is not None:
            end = body_end(plain, opened)
            found.append((match[0].split("(")[0], plain.count("\n", 0, match.start()) + 1, plain.count("\n", match.start(), end) + 1))
    return found


def place(file, text, position):
    return f"{Path(file).relative_to(ROOT)}:{text.count(chr(10), 0, position) + 1}"
