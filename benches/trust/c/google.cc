// The same launch under google-benchmark.
#include "launch.h"
#include <benchmark/benchmark.h>

static void run(benchmark::State &state)
{
    for (auto _ : state) {
        launch();
        benchmark::ClobberMemory();
    }
}
BENCHMARK(run)->Unit(benchmark::kNanosecond);

int main(int argc, char **argv)
{
    prepare();
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
