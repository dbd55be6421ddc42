// pinrail_bench: hot paths of Pinrail and what people use instead, in one program and run.
#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
