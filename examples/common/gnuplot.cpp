#include "common/gnuplot.hpp"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <string>

namespace examples {
namespace {

std::filesystem::path with_ending(std::filesystem::path file, const char* ending) {
  return file.replace_extension(ending);
}

}  // namespace

gnuplot_script::gnuplot_script(const std::filesystem::path& picture)
    : file_(with_ending(picture, ".gp")), out_(fmt::output_file(file_.string())) {}

void gnuplot_script::run() {
  out_.close();
  std::string program = "gnuplot";
  std::string argument = file_.string();
  char* arguments[] = {program.data(), argument.data(), nullptr};
  pid_t child = 0;
  if (const int failed = posix_spawnp(&child, program.c_str(), nullptr, nullptr, arguments, environ); failed != 0)
    throw std::runtime_error(
        fmt::format("the picture needs gnuplot (Debian: gnuplot-nox), which could not be started: errno {}", failed));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) throw std::runtime_error(fmt::format("gnuplot failed on {} with status {}", file_.string(), status));
}

}  // namespace examples
