"""The shape of the tree: what the architecture asks of every source, checked instead of hoped for."""

import re
import subprocess

import pytest
from swift_source import ROOT, code, files, functions, place, target_of

# Anything here needs a reason beside it.
LONG_FILES = {}
LONG_FUNCTIONS = {
    "Sources/InternetMessage/Text/SingleByteCharsets.swift func table": "a table of character sets, no logic",
}

SYSTEM = {"Swift", "Synchronization", "_Concurrency", "FoundationEssentials"}
FLOOR_6_SYSTEM = SYSTEM | {"Glibc", "Foundation", "Dispatch"}


def floors():
    """Target -> (floor, extra imports), from the table in docs/architecture.md."""
    table = {}
    for line in (ROOT / "docs" / "architecture.md").read_text().splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].isdigit():
            for target in re.findall(r"`(\w+)`", cells[1]):
                table[target] = (int(cells[0]), set(re.findall(r"`(\w+)`", cells[2])))
    return table


FLOORS = floors()
SOURCES = files("Sources")
IMPORT = re.compile(r"^\s*(?:@\w+(?:\(\w+\))? )*(?:public |package |internal |private )?import (?:(?:struct|enum|class|func|var) )?(\w+)", re.M)


def test_each_target_stands_on_a_floor():
    assert {f.name for f in (ROOT / "Sources").iterdir() if f.is_dir()} == set(FLOORS)


def test_imports_go_down_only():
    wrong = []
    for file in SOURCES:
        text = code(file.read_text())
        target = target_of(file)
        floor, extra = FLOORS[target]
        if "Glibc" in extra:
            extra = extra | {"Musl", "Darwin"}  # the same C library on other systems
        allowed = extra | (FLOOR_6_SYSTEM if floor >= 6 else SYSTEM) | {t for t, (f, _) in FLOORS.items() if f < floor and f != 6}
        for match in IMPORT.finditer(text):
            if match[1] not in allowed and match[1] != target:
                wrong.append(f"{place(file, text, match.start(1))}: {target} (floor {floor}) imports {match[1]}")
    assert not wrong, "\n".join(wrong)


def violations(pattern, sources, allowed=()):
    wrong = []
    for file in sources:
        if str(file.relative_to(ROOT / "Sources")) in allowed:
            continue
        text = code(file.read_text())
        wrong += [f"{place(file, text, m.start())}: {m[0].strip()}" for m in re.finditer(pattern, text)]
    return wrong


def up_to(floor, above=-1):
    return [f for f in SOURCES if above < FLOORS[target_of(f)][0] <= floor]


@pytest.mark.parametrize(
    "name, pattern",
    [
        ("forced unwrap", r"[\w\])\"]!(?![=\w])(?=[\s.,;:()\[\]}?]|$)"),
        ("try! and as!", r"\b(?:try|as)!"),
        ("deliberate traps", r"\b(?:fatalError|precondition|preconditionFailure|assertionFailure|assert)\("),
        ("unowned", r"\bunowned\b"),
        ("unsafe bit casts", r"\bunsafeBitCast\b"),
    ],
)
def test_floors_0_to_2_cannot_trap_by(name, pattern):
    wrong = violations(pattern, up_to(2))
    assert not wrong, f"{name}:\n" + "\n".join(wrong)


# Sizes and quotas come from clients and from the disk: added with addedClamped and its like, never so that they can trap.
SIZES = r"(?:[oO]ctets|[qQ]uota|[sS]ize|[uU]sage|[dD]eclared\w*)"


@pytest.mark.parametrize(
    "name, pattern",
    [
        ("forced unwrap", r"[\w\])\"]!(?![=\w])(?=[\s.,;:()\[\]}?]|$)"),
        ("try! and as!", r"\b(?:try|as)!"),
        ("deliberate traps", r"\b(?:fatalError|precondition|preconditionFailure|assertionFailure|assert)\("),
        ("unowned", r"\bunowned\b"),
    ],
)
def test_floors_3_to_5_cannot_trap_by(name, pattern):
    wrong = violations(pattern, up_to(5, above=2))
    assert not wrong, f"{name}:\n" + "\n".join(wrong)


@pytest.mark.parametrize("pattern", [rf"\b\w*{SIZES} (?:[-+*]|[-+*]=) [\w(]", rf"[\w)] [-+*] (?:\w+\.)*\w*{SIZES}\b"])
def test_decisions_add_sizes_and_quotas_with_care(pattern):
    deciding = [f for f in SOURCES if target_of(f) in ("Identity", "Routing", "Overload", "Reception", "Sessions")]
    wrong = violations(pattern, deciding)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "name, pattern",
    [
        ("Dispatch", r"\bDispatch(?:Queue|Semaphore|Time|WorkItem|Group)\b"),
        ("threads", r"\b(?:Thread\.|pthread_create|Thread\()"),
        ("Task.sleep", r"\bTask(?:<[^>]*>)?\.sleep\b"),
        ("detached tasks", r"\bTask\.detached\b"),
        ("the wall clock", r"\b(?:ContinuousClock|SuspendingClock|Date\(\)|clock_gettime|gettimeofday|time\((?:nil|nullptr)\))"),
        ("the system's randomness", r"\b(?:SystemRandomNumberGenerator|UUID\(\)|arc4random|getrandom)|\.random\(in:|\.randomElement\(\)|\.shuffled?\(\)"),
    ],
)
def test_floors_1_to_5_take_from_outside_instead_of(name, pattern):
    wrong = violations(pattern, up_to(5, above=0))
    assert not wrong, f"{name}:\n" + "\n".join(wrong)


def test_unchecked_concurrency_is_proved_beside_it():
    wrong = []
    for file in SOURCES:
        text = file.read_text()
        lines = text.splitlines()
        for match in re.finditer(r"@unchecked Sendable|nonisolated\(unsafe\)", code(text)):
            line = text.count("\n", 0, match.start())
            if not any("//" in lines[i] for i in range(max(0, line - 6), line + 1)):
                wrong.append(f"{place(file, text, match.start())}: {match[0]} without a comment that proves it")
    assert not wrong, "\n".join(wrong)


# Whoever makes a continuation must resume it exactly once: so these files alone may.
CONTINUATIONS = {
    "Outside/Worker.swift": "the wait for a worker",
    "Outside/Connection.swift": "the one wait of a session",
    "Identity/PasswordPool.swift": "the wait for a turn at hashing",
    "MailStore/Waiting.swift": "the wait for a commit, a reader, a worker",
    "MailStore/Bodies/SegmentSpool.swift": "the wait for the disk",
    "MartletServer/Loop/LoopSleeper.swift": "the wait for a time",
    "MartletServer/Network/NIODialer.swift": "the wait for a connection",
    "MartletServer/DNS/UnboundResolver.swift": "the wait for an answer",
    "MartletServer/DNS/UnboundContext.swift": "the wait for libunbound's thread to be gone",
    "MartletServer/Process/ProcessSignals.swift": "the wait for a signal",
    "MartletSimulation/Execution/SimulatedExecutor.swift": "all waits, in virtual time",
}


def test_continuations_are_made_in_few_files_only():
    wrong = violations(r"\bwith(?:Checked|Unsafe)(?:Throwing)?Continuation\b", SOURCES, CONTINUATIONS)
    assert not wrong, "\n".join(wrong)


def test_sql_stands_in_the_store_only():
    wrong = []
    for file in SOURCES:
        if target_of(file) in ("MailStore", "MartletSimulation"):
            continue
        text = file.read_text()
        wrong += [place(file, text, m.start()) for m in re.finditer(r'"\s*(?:SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|PRAGMA) ', text)]
    assert not wrong, "\n".join(wrong)


def test_files_are_at_most_400_lines():
    wrong = [
        f"{f.relative_to(ROOT)}: {n} lines"
        for f in files("Sources", "Tests", "Fuzz")
        if (n := len(f.read_text().splitlines())) > 400 and str(f.relative_to(ROOT)) not in LONG_FILES
    ]
    assert not wrong, "\n".join(wrong)


def test_functions_are_at_most_60_lines():
    wrong = [
        f"{f.relative_to(ROOT)}:{line}: {name} has {length} lines"
        for f in SOURCES
        for name, line, length in functions(f.read_text())
        if length > 60 and f"{f.relative_to(ROOT)} {name}" not in LONG_FUNCTIONS
    ]
    assert not wrong, "\n".join(wrong)


def test_the_length_of_a_function_is_counted_to_its_own_brace():
    text = 'protocol P {\n  func a()\n  func b() -> Int\n}\nstruct S {\n  func c(_ f: () -> Void = {}) {\n    let s = "}"  // }\n    f()\n  }\n}\n'
    assert functions(text) == [("func c", 6, 4)]


def test_each_name_in_the_architecture_exists():
    text = (ROOT / "docs" / "architecture.md").read_text()
    plain = "\n".join(code(f.read_text()) for f in SOURCES)
    known = set(re.findall(r"\w+", plain)) | set(FLOORS)
    external = {"Glibc", "NIOCore", "NIOPosix", "Logging", "TOMLKit", "ArgumentParser", "import"}
    names = {part for span in re.findall(r"`([^`\n]+)`", text) if "/" not in span for part in re.findall(r"[A-Za-z_]\w+", span)}
    missing = sorted(names - known - external)
    assert not missing, f"docs/architecture.md names what the sources don't have: {missing}"


def test_each_link_in_a_document_leads_somewhere():
    wrong = []
    tracked = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        file = ROOT / name
        if not file.exists():
            continue
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", file.read_text()):
            if not link.startswith(("http:", "https:", "mailto:")) and not (file.parent / link).exists():
                wrong.append(f"{name}: {link}")
    assert not wrong, "\n".join(wrong)


def test_generated_documents_are_up_to_date():
    made = subprocess.run(["/usr/bin/python3", "Scripts/make-docs", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def test_no_path_of_one_machine_is_committed():
    pattern = r"(^|[^.[:alnum:]_-])/(work|root|home/[a-z]+|Users/[a-z]+)/"
    found = subprocess.run(
        ["git", "grep", "-nIE", pattern, "--", ".", ":!Tests/ArchitectureTests/test_architecture.py"],
        cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 1, found.stdout


def test_no_build_output_is_committed():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    wrong = [f for f in tracked if re.search(r"(^|/)\.build|Package\.resolved$|\.o$|__pycache__", f)]
    assert not wrong, wrong


def test_nothing_is_left_for_later():
    words = "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "un" + "implemented", "not " + "implemented"])
    found = subprocess.run(["git", "grep", "-nIE", rf"\b({words})\b", "--", "Sources", "docs", "README.md"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 1, found.stdout


# What can be done to SMTP, names, queue, disk, time and process. A number may be added; none may get lost.
HOSTILE = {*range(1, 17), 19, 20, *range(24, 29), 31, 36, *range(38, 41), *range(53, 62), *range(64, 67)}


def numbers_named(file):
    """The hostile cases that the titles of a file's tests name: `@Test("HOSTILE 9: ...")`, `(HOSTILE 54)` in one, and in Python docstrings."""
    text = file.read_text()
    if file.suffix == ".py":
        titles = re.findall(r'^def test_[^\n]*:\n +"""(.*?)"""', text, re.M | re.S)
    else:
        titles = re.findall(r'@Test\(\s*"((?:[^"\\\n]|\\.)*)"', text)
    return {int(number) for title in titles for number in re.findall(r"HOSTILE (\d+)", title)}


def test_each_hostile_case_is_named_by_the_tests_that_the_table_says():
    tests = ROOT / "Tests"
    named = {file: numbers_named(file) for file in [*files("Tests"), *tests.glob("EndToEnd/test_*.py")]}
    table = {}
    for line in (ROOT / "docs" / "threats.md").read_text().splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].isdigit():
            table[int(cells[0])] = {(ROOT / "docs" / link).resolve() for link in re.findall(r"\]\((.*?)\)", cells[2])}
    assert HOSTILE <= set(table), f"docs/threats.md has no row for {sorted(HOSTILE - set(table))}"
    wrong = [f"no test names HOSTILE {n}" for n in sorted(HOSTILE) if not any(n in numbers for numbers in named.values())]
    for number, places in sorted(table.items()):
        have = {file.resolve() for file, numbers in named.items() if number in numbers}
        wrong += [f"docs/threats.md, {number}: {f.name} has no test that names it" for f in sorted(places - have)]
        wrong += [f"docs/threats.md, {number}: {f.relative_to(ROOT)} names it too" for f in sorted(have - places)]
    assert not wrong, "\n".join(wrong)
