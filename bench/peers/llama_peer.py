"""llama.cpp and its clip (ggml), through llama-cpp-python, on random GGUF files of `gguf_files.py`; one line of JSON.

The level picks one of ggml's CPU libraries, all built from the same source: haswell is AVX2 with FMA, skylakex AVX-512
without BF16, VNNI and AMX, and "best" the one that ggml's own scores put first on this processor."""

import ctypes
import pathlib
import time

import numpy as np

import measure
import shape as S

LEVELS = {"avx2": "haswell", "avx512": "skylakex"}


def load_ggml(folder, level):
    """
    Makes one of ggml's CPU libraries the only one that it finds, and loads it; its name. ggml looks into the folder
    that it was built for, beside `folder`, again and again, and takes the best library there whatever is loaded.
    """
    import llama_cpp  # has loaded what those libraries stand on

    def score(library):
        return ctypes.CDLL(str(library)).ggml_backend_score()

    if level in LEVELS:
        library = folder / f"libggml-cpu-{LEVELS[level]}.so"
    else:
        library = max(folder.glob("libggml-cpu-*.so"), key=score)
    found = folder.parent / "ggml"
    found.mkdir(exist_ok=True)
    for old in found.glob("*.so"):
        old.unlink()
    (found / library.name).symlink_to(library.resolve())
    ggml = ctypes.CDLL(str(pathlib.Path(llama_cpp.__file__).parent / "lib" / "libggml.so"))
    ggml.ggml_backend_load.restype = ctypes.c_void_p
    if score(library) == 0 or not ggml.ggml_backend_load(str(found / library.name).encode()):
        raise SystemExit(f"llama_peer: {library}: this processor cannot run it")
    return library.stem.removeprefix("libggml-cpu-")


class Text:
    def __init__(self, path, threads):
        import llama_cpp.llama_cpp as api

        self.api = api
        api.llama_backend_init()
        parameters = api.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self.model = api.llama_model_load_from_file(str(path).encode(), parameters)
        context = api.llama_context_default_params()
        context.n_ctx = context.n_batch = context.n_ubatch = 512
        context.n_threads = context.n_threads_batch = threads
        self.context = api.llama_init_from_model(self.model, context) if self.model else None
        if not self.context:
            raise SystemExit(f"llama_peer: {path}: llama.cpp cannot use it")
        self.memory = api.llama_get_memory(self.context)
        self.batch = api.llama_batch_init(S.PREFIX, 0, 1)
        self.tokens = np.random.default_rng(0).integers(300, S.VOCABULARY, S.PREFIX)

    def step(self, position, count):
        """Tokens at [position, position + count); logits of the last only."""
        batch = self.batch
        batch.n_tokens = count
        for n in range(count):
            batch.token[n] = int(self.tokens[(position + n) % S.PREFIX])
            batch.pos[n] = position + n
            batch.n_seq_id[n] = 1
            batch.seq_id[n][0] = 0
            batch.logits[n] = n == count - 1
        if self.api.llama_decode(self.context, batch):
            raise SystemExit("llama_peer: llama_decode failed")
        self.api.llama_get_logits_ith(self.context, -1)  # waits for the result

    def prefill(self):
        self.api.llama_memory_clear(self.memory, False)
        self.step(0, S.PREFIX)

    def decode(self):
        """One token after the prefix; taken back, so that each call does the same."""
        self.step(S.PREFIX, 1)
        self.api.llama_memory_seq_rm(self.memory, 0, S.PREFIX, -1)


class Vision:
    def __init__(self, path, text, threads, flash):
        import llama_cpp.mtmd_cpp as api

        self.api = api
        parameters = api.mtmd_context_params_default()
        parameters.use_gpu = False
        parameters.n_threads = threads
        parameters.warmup = False
        parameters.flash_attn_type = flash
        self.context = api.mtmd_init_from_file(str(path).encode(), text.model, parameters)
        if not self.context:
            raise SystemExit(f"llama_peer: {path}: clip cannot use it")
        pixels = np.random.default_rng(0).integers(0, 256, 3 * S.SIDE * S.SIDE, dtype=np.uint8)
        bitmap = api.mtmd_bitmap_init(S.SIDE, S.SIDE, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
        marker = api.mtmd_get_marker(self.context)
        prompt = api.mtmd_input_text(marker, len(marker), False, True)
        self.chunks = api.mtmd_input_chunks_init()
        pictures = (api.mtmd_bitmap_p_ctypes * 1)(bitmap)
        if api.mtmd_tokenize(self.context, self.chunks, ctypes.byref(prompt), pictures, 1):
            raise SystemExit(f"llama_peer: {path}: clip does not take a picture of {S.SIDE} pixels")
        api.mtmd_bitmap_free(bitmap)
        chunks = [api.mtmd_input_chunks_get(self.chunks, n) for n in range(api.mtmd_input_chunks_size(self.chunks))]
        (self.picture,) = (c for c in chunks if api.mtmd_input_chunk_get_type(c) == api.MTMD_INPUT_CHUNK_TYPE_IMAGE)
        tokens = api.mtmd_input_chunk_get_n_tokens(self.picture)
        if tokens != S.IMAGE_TOKENS:
            raise SystemExit(f"llama_peer: {path}: found {tokens} image tokens, expected {S.IMAGE_TOKENS}")

    def encode(self):
        if self.api.mtmd_encode_chunk(self.context, self.picture):
            raise SystemExit("llama_peer: mtmd_encode_chunk failed")

    def free(self):
        self.api.mtmd_input_chunks_free(self.chunks)
        self.api.mtmd_free(self.context)


def main():
    parser = measure.options(__doc__, ("best", *LEVELS), ("bf16", "q8_0", "q4_0", "q4_0+q6_K"))
    parser.add_argument("--backends", required=True, type=pathlib.Path, help="folder of libggml-cpu-*.so")
    parser.add_argument("--files", required=True, type=pathlib.Path, help="folder of the GGUF files")
    arguments = parser.parse_args()
    library = load_ggml(arguments.backends, arguments.level)

    start = time.perf_counter()
    text = Text(arguments.files / f"text-{arguments.weights}.gguf", arguments.threads)
    vision = {}
    load = None
    # clip's flash attention is slow at SigLIP's head dim of 72 on some processors: the faster of both counts.
    for flash in (-1, 0):
        tower = Vision(arguments.files / f"vision-{arguments.weights}.gguf", text, arguments.threads, flash)
        load = load or time.perf_counter() - start
        vision[flash] = measure.seconds(tower.encode, arguments.repeats)
        tower.free()
    prefill = measure.seconds(text.prefill, arguments.repeats)
    token = measure.seconds(text.decode, 4 * arguments.repeats)
    peer = "llama.cpp"
    if arguments.weights == "q4_0+q6_K":  # the usual 4-bit file: held against the same as the pure one
        peer, arguments.weights = "llama.cpp, Q6_K head", "q4_0"
    measure.report(
        peer, arguments, note=library, load=load, vision=min(vision.values()), prefill=prefill, token=token,
        peak_memory=measure.peak_memory(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
