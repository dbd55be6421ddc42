// pinrail plan: does a model fit, what stays, what streams, and how long does a step take?
#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace pinrail::tools {

struct plan_options {
  std::vector<std::string> models;  ///< files, indexes, or "48x772149248"
  std::vector<std::string> block_patterns;
  std::string vram = "24GiB";
  std::string host_to_device = "25GB/s";
  std::vector<double> compute_ms;   ///< of a step, by model
  std::vector<std::string> shares;  ///< bytes, by model
  std::filesystem::path json;
  std::filesystem::path svg;
};

/// Adds the subcommand; `options` must live until it has been parsed.
CLI::App* add_plan_command(CLI::App& app, plan_options& options);

/// Returns the exit status: 0, or 1 if a model can't run in its share.
int run_plan(const plan_options& options);

}  // namespace pinrail::tools
