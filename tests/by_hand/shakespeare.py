"""What the scripts that train on nanoGPT's text share: the text on a server, and the page with something changed."""
import contextlib
import functools
import http.server
import os
import shutil
import threading

PAGE = "pipelines/shakespeare.yaml"


@contextlib.contextmanager
def served(text):
    """The address of a file, on this machine. The lock that a run writes beside the page goes again."""
    folder, name = os.path.split(os.path.abspath(text))
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=folder))
    # muse closes a connection that it needs no more of.
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lock = PAGE.replace(".yaml", ".lock")
    had_lock = os.path.exists(lock)
    try:
        yield f"http://127.0.0.1:{server.server_port}/{name}"
    finally:
        server.shutdown()
        if not had_lock and os.path.exists(lock):
            os.remove(lock)


def changed_page(folder, name, **changes):
    """The page in a folder of its own, with lines of the training stage in place of its own, or added to them."""
    with open(PAGE) as file:
        lines = file.read().replace("../configs/models", "models").splitlines()
    # Paths in a page start from the page.
    shutil.copytree("configs/models", os.path.join(folder, "models"), dirs_exist_ok=True)
    begin = lines.index("    uses: pretrain")
    for field, value in changes.items():
        line = f"      {field}: {value}"
        at = [n for n, old in enumerate(lines) if n > begin and old.startswith(f"      {field}:")]
        if at:
            lines[at[0]] = line
        else:
            lines.append(line)
    page = os.path.join(folder, name)
    with open(page, "w") as file:
        file.write("\n".join(lines) + "\n")
    return page
