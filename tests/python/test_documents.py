"""`.ci/check-docs.py` accepts the documents that there are, and finds what it is for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[2] / ".ci/check-docs.py"
GOOD = """# A page

[Below](#its-here-again), [there](other.md#the-end) and [the file](other.md). This is code, and
not a link: `[x](nowhere.md)`.

| a table may be as long as it has to be, since nobody wraps a row: it would be another row | [and so on](other.md) |
|---|---|

```
[not a link](nowhere.md) and not prose, whatever its length, since code is shown as it is written down ........
```

## It's here, again
"""


def check(tmp_path, page):
    (tmp_path / ".ci").mkdir()
    shutil.copy(CHECK, tmp_path / ".ci")
    (tmp_path / "page.md").write_text(page)
    (tmp_path / "other.md").write_text("# Other\n\n## The `end`\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return subprocess.run([sys.executable, tmp_path / ".ci/check-docs.py"], capture_output=True, text=True, timeout=60, check=False)


def test_the_documents_pass():
    done = subprocess.run([sys.executable, CHECK], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_good_page_passes(tmp_path):
    done = check(tmp_path, GOOD)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("[away](missing.md)", "page.md:3: `missing.md` leads to no file"),
        ("[away](other.md#nothing)", "page.md:3: `other.md#nothing`: other.md has no heading `nothing`"),
        ("[away](#nothing)", "page.md:3: `#nothing`: page.md has no heading `nothing`"),
        ("![picture](images/missing.png)", "page.md:3: `images/missing.png` leads to no file"),
        ("[reference][1]\n\n[1]: missing.md", "page.md:5: `missing.md` leads to no file"),
        ("word " * 21, "page.md:3: 105 columns; wrap prose at 100"),
    ],
)
def test_faults_are_found(tmp_path, fault, complaint):
    done = check(tmp_path, f"# A page\n\n{fault}\n")
    assert done.returncode == 1
    assert complaint in done.stderr
