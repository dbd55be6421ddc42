// pinrail: commands for people. So far: plan.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "pinrail/version.hpp"
#include "plan_command.hpp"

int main(int argc, char** argv) {
  CLI::App app{"Pinrail decides which model blocks live in GPU memory", "pinrail"};
  app.set_version_flag("--version", PINRAIL_VERSION);
  app.require_subcommand(1);
  pinrail::tools::plan_options plan;
  const CLI::App* plan_command = pinrail::tools::add_plan_command(app, plan);
  CLI11_PARSE(app, argc, argv);
  try {
    return plan_command->parsed() ? pinrail::tools::run_plan(plan) : 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "pinrail: {}\n", e.what());
    return 2;
  }
}
