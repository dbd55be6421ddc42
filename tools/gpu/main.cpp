// pinrail_gpu: measures one part of `./dev gpu` on a GPU and writes its figures as JSON.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <fstream>
#include <map>
#include <string>

#include "cuda.hpp"
#include "parts.hpp"

namespace {

using part = nlohmann::json (*)(const gpu::settings&);

const std::map<std::string, part> parts{{"content", gpu::content}, {"bandwidth", gpu::bandwidth},
                                        {"overlap", gpu::overlap}, {"hot_paths", gpu::hot_paths},
                                        {"costs", gpu::costs},     {"plain", gpu::plain}};

nlohmann::json describe(const gpu::settings& s) {
  int driver = 0;
  int runtime = 0;
  gpu::check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  gpu::check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  return {{"name", s.device->name()},
          {"memory_bytes", s.device->memory_bytes()},
          {"driver_version", driver},
          {"runtime_version", runtime}};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Measures one part of ./dev gpu.", "pinrail_gpu"};
  std::string name;
  std::string json;
  gpu::settings s;
  app.add_option("part", name, "device (only describes it), content, bandwidth, overlap, hot_paths, costs or plain")
      ->required();
  app.add_option("--device", s.ordinal, "CUDA ordinal")->capture_default_str();
  app.add_option("--json", json, "Where the figures go; else to standard output");
  app.add_flag("--brief", s.brief, "A little of everything, for memcheck and for tests");
  CLI11_PARSE(app, argc, argv);
  try {
    if (name != "device" && !parts.contains(name))
      throw std::invalid_argument(fmt::format("there is no part '{}'", name));
    s.device = pinrail::open_device(fmt::format("cuda:{}", s.ordinal));
    gpu::check(cudaSetDevice(s.ordinal), "cudaSetDevice");
    const nlohmann::json out = name == "device" ? describe(s) : nlohmann::json{{"rows", parts.at(name)(s)}};
    if (json.empty()) {
      fmt::print("{}\n", out.dump(2));
    } else {
      std::ofstream file(json);
      file << out.dump(2) << "\n";
      if (!file.flush()) throw std::runtime_error(fmt::format("{} can't be written", json));
    }
    return 0;
  } catch (const pinrail::error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return e.code() == pinrail::errc::device_unavailable ? 3 : 1;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}: {}\n", name, e.what());
    return 1;
  }
}
