#include "pinrail/trace.hpp"

#include <fmt/format.h>
#include <tbb/enumerable_thread_specific.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "pinrail/error.hpp"

namespace pinrail {

struct trace_recorder::buffers {
  tbb::enumerable_thread_specific<std::vector<trace_event>> by_thread;
  std::vector<trace_runtime> runtimes;
};

trace_recorder::trace_recorder() : buffers_(std::make_unique<buffers>()) {}
trace_recorder::~trace_recorder() = default;

void trace_recorder::add(const trace_event& event) { buffers_->by_thread.local().push_back(event); }

void trace_recorder::add_runtime(std::uint32_t index, trace_runtime runtime) {
  if (buffers_->runtimes.size() <= index) buffers_->runtimes.resize(index + 1);
  buffers_->runtimes[index] = std::move(runtime);
}

std::vector<trace_event> trace_recorder::events() const {
  std::vector<trace_event> all;
  for (const auto& some : buffers_->by_thread) all.insert(all.end(), some.begin(), some.end());
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.time_ns < b.time_ns; });
  return all;
}

const std::vector<trace_runtime>& trace_recorder::runtimes() const noexcept { return buffers_->runtimes; }

namespace {

/// Writes the JSON array element by element: a long run has millions.
class chrome_writer {
 public:
  chrome_writer(std::FILE* file, const std::vector<trace_runtime>& runtimes, std::uint64_t start_ns)
      : file_(file), runtimes_(runtimes), start_ns_(start_ns) {
    fmt::print(file_, "{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n");
    name("process_name", 0, 0, "memory");
    for (std::uint32_t r = 0; r < runtimes_.size(); ++r) {
      name("process_name", r + 1, 0, runtimes_[r].name);
      for (std::uint32_t b = 0; b < runtimes_[r].blocks.size(); ++b)
        name("thread_name", r + 1, b + 1, runtimes_[r].blocks[b].name);
    }
  }
  void finish(std::uint64_t end_ns) {
    for (const auto& [where, since] : open_) slice(where.first, where.second, since.second, since.first, end_ns);
    fmt::print(file_, "\n]}}\n");
  }

  void add(const trace_event& e) {
    const std::pair where{e.runtime, e.block};
    switch (e.kind) {
      case trace_kind::load_begin:
        begin(where, "loading", e.time_ns);
        break;
      case trace_kind::resident:
        begin(where, "resident", e.time_ns);
        break;
      case trace_kind::load_failed:
      case trace_kind::evicted:
        end(where, e.time_ns);
        break;
      case trace_kind::moved:
        instant(e, "moved");
        break;
      case trace_kind::use_begin:
        async('b', e, "use");
        break;
      case trace_kind::use_end:
        async('e', e, "use");
        break;
      case trace_kind::stall_begin:
        async('b', e, "stall");
        break;
      case trace_kind::stall_end:
        async('e', e, "stall");
        break;
      case trace_kind::write_back_begin:
        instant(e, "write-back begins");
        break;
      case trace_kind::write_back_end:
        instant(e, "write-back ends");
        break;
      case trace_kind::guard_begin:
        guards_[e.id] = e.text;
        async('b', e, e.text);
        break;
      case trace_kind::guard_end:
        if (const auto it = guards_.find(e.id); it != guards_.end()) async('e', e, it->second);
        break;
      case trace_kind::used_bytes:
        counter("used", e);
        break;
      case trace_kind::budget_bytes:
        counter("budget", e);
        break;
    }
  }

 private:
  using place = std::pair<std::uint32_t, block_index>;

  [[nodiscard]] double micros(std::uint64_t time_ns) const { return static_cast<double>(time_ns - start_ns_) / 1e3; }
  void separate() {
    if (!first_) fmt::print(file_, ",\n");
    first_ = false;
  }
  void name(const char* what, std::uint32_t pid, std::uint32_t tid, const std::string& text) {
    separate();
    fmt::print(file_, R"({{"ph":"M","name":"{}","pid":{},"tid":{},"args":{{"name":{}}}}})", what, pid, tid,
               nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
  }
  void begin(const place& where, const char* what, std::uint64_t time_ns) {
    end(where, time_ns);
    open_[where] = {time_ns, what};
  }
  void end(const place& where, std::uint64_t time_ns) {
    const auto it = open_.find(where);
    if (it == open_.end()) return;
    slice(where.first, where.second, it->second.second, it->second.first, time_ns);
    open_.erase(it);
  }
  void slice(std::uint32_t runtime, block_index block, const char* what, std::uint64_t from, std::uint64_t to) {
    separate();
    fmt::print(file_, R"({{"ph":"X","name":"{}","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f}}})", what, runtime + 1,
               block + 1, micros(from), micros(to) - micros(from));
  }
  void instant(const trace_event& e, const char* what) {
    separate();
    fmt::print(file_, R"({{"ph":"i","s":"t","name":"{}","pid":{},"tid":{},"ts":{:.3f}}})", what, e.runtime + 1,
               e.block + 1, micros(e.time_ns));
  }
  void async(char phase, const trace_event& e, const char* what) {
    separate();
    fmt::print(file_, R"({{"ph":"{}","cat":"{}","name":"{}","id":"0x{:x}","pid":{},"tid":{},"ts":{:.3f}}})", phase,
               what, what, e.id, e.runtime + 1, e.block + 1, micros(e.time_ns));
  }
  void counter(const char* what, const trace_event& e) {
    separate();
    fmt::print(file_, R"({{"ph":"C","name":"{}","pid":0,"tid":0,"ts":{:.3f},"args":{{"bytes":{}}}}})", what,
               micros(e.time_ns), e.size_bytes);
  }

  std::FILE* file_;
  const std::vector<trace_runtime>& runtimes_;
  std::uint64_t start_ns_;
  bool first_ = true;
  std::map<place, std::pair<std::uint64_t, const char*>> open_;
  std::map<std::uint64_t, const char*> guards_;
};

}  // namespace

void trace_recorder::write_chrome_json(const std::filesystem::path& file) const {
  const auto all = events();
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(file.c_str(), "w"), &std::fclose);
  if (out == nullptr)
    throw error(failure{.code = errc::io_error, .native_code = errno},
                fmt::format("the trace can't be written to {}: errno {}", file.string(), errno));
  chrome_writer writer(out.get(), runtimes(), all.empty() ? 0 : all.front().time_ns);
  for (const trace_event& e : all) writer.add(e);
  writer.finish(all.empty() ? 0 : all.back().time_ns);
  if (std::ferror(out.get()) != 0)
    throw error(failure{.code = errc::io_error, .native_code = errno},
                fmt::format("the trace could not be written whole to {}", file.string()));
}

}  // namespace pinrail
