"""`make fuzz`: what schemathesis thinks of the server, by the server's own description of /v2.0.

It makes requests out of GET /openapi.json: right ones, nearly right ones, and chains in which what one has
made is shown, changed and deleted by the next. A failure is an error of the server's own (500), a status that
is not described, or an answer that is not as described. Ends with the exit code of schemathesis.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deuteron.resources import registry
from deuteron.settings import ServerSettings
from deuteron.store import Database
from deuteron.store.migrate import prepare
from tests.api.conftest import serve

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def judge(port: int, directory: Path, *options: str) -> tuple[int, int, str]:
    """Run schemathesis; return its exit code, how many requests it made, and what it said."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", "--no-color", "--checks", CHECKS]
    command += ["--generation-database", "none", "--suppress-health-check", "all", "--continue-on-failure"]
    command += ["--warnings", "off", "--no-shrink", *options, f"http://127.0.0.1:{port}/openapi.json"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=3600, check=False)
    said = done.stdout + done.stderr
    counted = re.search(r"(\d+) generated", said)
    return done.returncode, int(counted[1]) if counted else 0, said


def main() -> int:
    """Serve on an empty database until schemathesis has finished."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Let schemathesis judge the API.")
    parser.add_argument("--examples", default=20, type=int, help="random requests of each operation")
    parser.add_argument("--seed", default=1, type=int)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="deuteron-fuzz-"))
    registry.load()
    db = Database(f"sqlite:///{directory}/deuteron.db")
    code = 1
    try:
        prepare(db)
        for client in serve(db, ServerSettings()):
            options = ("-n", str(arguments.examples), "--seed", str(arguments.seed))
            code, requests, said = judge(client.port, directory, *options)
            sys.stdout.write(f"{said}\n{requests} requests\n")
    finally:
        db.close()
        shutil.rmtree(directory)
    return code


if __name__ == "__main__":
    sys.exit(main())
