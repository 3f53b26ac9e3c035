"""llama.cpp's server, as a program: `python llama.py MODEL PORT CONTEXT chat|embeddings`.

Imports nothing of the tests: it runs with the folder of `xllamacpp` on its path and no other.
"""

import os
import signal
import sys

import xllamacpp

MEAN = 1  # of llama.cpp's ways to make one vector of a text's

# Its threads wait for each other at each step: with one for each of two cores that others used too
# it wrote 1 to 2 tokens a second, with one alone 38 (2026-11-27).
THREADS = max(1, (os.cpu_count() or 2) // 2)


def main(model: str, port: str, context: str, kind: str) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_ctx = int(context)
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = THREADS
    params.sampling.seed = 1
    if kind == "embeddings":
        params.embedding = True
        params.pooling_type = MEAN
    server = xllamacpp.Server(params)  # answers as long as it is held
    print("listens at", server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
