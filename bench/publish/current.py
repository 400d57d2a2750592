# SPDX-License-Identifier: Apache-2.0
"""Whether code has changed since a commit, by git: comments and layout do not count."""
import pathlib
import re
import subprocess

GPU = "kernels/common", "kernels/matrix", "kernels/cuda", "backends/gpu", "backends/cuda"
CPU = "kernels/common/exact.h", "kernels/common/random.h", "backends/cpu"
# What the results behind each option of publish.py depend on.
PATHS = {
    "cuda": GPU, "sweeps": GPU, "cpu": CPU,
    "peers": (*GPU, *CPU, "kernels/opencl", "backends/opencl"),
}
C_TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|/\*.*?\*/|//[^\n]*', re.DOTALL)


def substance(path, text):
    """The text without what no compiler sees."""
    if path.endswith("meson.build"):
        text = re.sub(r"#[^\n]*", "", text)
    else:
        text = C_TOKENS.sub(lambda match: " " if match[0].startswith("/") else match[0], text)
    return "".join(text.split())


def git(top, *arguments):
    return subprocess.run(["git", "-C", top, *arguments], capture_output=True, text=True)


def changes_since(top, commit, paths):
    """The files whose substance is another than in that commit; or a sentence, where that cannot be told here."""
    if git(top, "rev-parse", "--git-dir").returncode != 0 or not (pathlib.Path(top) / ".git").exists():
        return "not a clone: cannot tell whether the code has changed since"
    if commit.endswith("-dirty"):
        return [f"nobody knows what ({commit} was measured with changes that are in no commit)"]
    if git(top, "cat-file", "-e", commit + "^{commit}").returncode != 0:
        if git(top, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
            return f"a shallow clone without {commit}: cannot tell whether the code has changed since"
        return [f"nobody knows what (there is no commit {commit})"]
    listed = git(top, "ls-tree", "-r", "--name-only", commit, "--", *paths).stdout.splitlines()
    then = {path: git(top, "show", f"{commit}:{path}").stdout for path in listed}
    listed = git(top, "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths).stdout.splitlines()
    now = {path: (pathlib.Path(top) / path).read_text() for path in listed if (pathlib.Path(top) / path).exists()}
    return sorted(path for path in then.keys() | now.keys()
                  if path not in then or path not in now or substance(path, then[path]) != substance(path, now[path]))
