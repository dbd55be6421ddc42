#include "workload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <optional>

#include "core/atomic.hpp"
#include "pinrail/pinrail.hpp"
#include "support/host_model.hpp"
#include "support/tensor_file.hpp"
#include "support/test_device.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t page = 8192;
constexpr std::uint64_t budget = 16 * page;
constexpr block_index file_blocks = 3;
constexpr block_index small_blocks = 16;

}  // namespace

struct material::parts {
  tensor_file file{file_blocks};
  host_model staged{{2 * page, 5000, 2 * page, 3 * page, 100, page}, 1};
  host_model pinned{{page, 2 * page + 1, 3 * page, 700, 2 * page}, 2};
  host_model small{small_blocks, page, 3};
  host_model large{{6 * page}, 4};
  std::vector<page_lock> locked;

  parts() {
    for (host_model* m : {&pinned, &small, &large})
      for (std::size_t b = 0; b < m->size(); ++b) locked.emplace_back(m->block(b));
  }
};

material::material() : parts_(std::make_unique<parts>()) {}
material::~material() = default;

namespace {

/// A writable model whose blocks hold one value in all their bytes: the version.
struct versioned_model {
  static constexpr std::size_t count = 3;
  static constexpr std::array<std::uint64_t, count> sizes_bytes{70000, page, 2 * page};

  std::array<std::vector<std::byte>, count> bytes;
  std::array<std::byte, count> version{};
  std::byte newest{0};

  versioned_model() {
    for (std::size_t b = 0; b < count; ++b) bytes[b].assign(sizes_bytes[b], std::byte{0});
  }
  [[nodiscard]] model as_model() {
    std::vector<memory_block> blocks;
    for (std::size_t b = 0; b < count; ++b) blocks.push_back({fmt::format("versioned.{}", b), bytes[b]});
    return model_from_memory(blocks, {.writable = true});
  }
};

class workload {
 public:
  workload(fault_bed& bed, material::parts& from, core::atomic<const char*>& at) : bed_(bed), from_(from), at_(at) {}

  run_report run() {
    begin();
    use_models();
    write();
    reserve();
    rearrange();
    end();
    return std::move(report_);
  }

 private:
  struct expectation {
    const std::byte* on_device;
    const std::byte* in_source;
    std::uint64_t size_bytes;
  };
  using check_list = std::vector<expectation>;
  using what_to_expect = check_list (workload::*)(const use& held);

  [[nodiscard]] bool lost() const { return bed_.plan().code == errc::device_lost && bed_.reached(); }
  void problem(std::string text) { report_.problems.push_back(std::move(text)); }

  /// Runs a step, and again if it failed: as often as there are faults, and then it must succeed.
  void step(const char* name, const std::function<void()>& act) {
    at_.store(name, core::order::relaxed);
    for (std::uint64_t attempt = 0; attempt <= bed_.plan().count; ++attempt) {
      try {
        act();
        return;
      } catch (const error& e) {
        report_.errors.push_back(fmt::format("{}: {}", name, e.what()));
        if (e.code() != bed_.plan().code)
          problem(fmt::format("{}: ended with {}: {}", name, to_string(e.code()), e.what()));
        if (lost()) return;
        if (attempt == bed_.plan().count)
          problem(fmt::format("{}: failed when it was tried again: {}", name, e.what()));
      } catch (const std::exception& e) {
        problem(fmt::format("{}: threw no pinrail::error: {}", name, e.what()));
        return;
      }
    }
  }

  // ---- kernels ----------------------------------------------------------------------------------------------

  /// Enqueues a kernel that compares.
  void check(stream_ref on, check_list all) {
    std::vector<emulated::access> touched;
    for (const expectation& e : all) touched.push_back({e.on_device, e.size_bytes, false});
    bed_.launch(
        on,
        [this, all = std::move(all)] {
          for (const expectation& e : all)
            if (std::memcmp(e.on_device, e.in_source, e.size_bytes) != 0) wrong_.fetch_add(1, core::order::relaxed);
        },
        touched);
  }
  static check_list whole(const use& held, host_model& expected) {
    return {{static_cast<const std::byte*>(held.device_ptr()), expected.block(held.block()).data(), held.size_bytes()}};
  }
  check_list in_staged(const use& held) { return whole(held, from_.staged); }
  check_list in_pinned(const use& held) { return whole(held, from_.pinned); }
  check_list in_small(const use& held) { return whole(held, from_.small); }
  check_list in_large(const use& held) { return whole(held, from_.large); }
  check_list in_file(const use& held) {
    check_list all;
    for (const tensor_info& t : file_.block(held.block()).tensors) {
      const auto& bytes = file_tensor(t);
      all.push_back({held.tensor(t.name).data, bytes.data(), bytes.size()});
    }
    return all;
  }
  const std::vector<std::byte>& file_tensor(const tensor_info& t) {
    auto& bytes = file_bytes_[t.name];
    if (bytes.empty()) bytes = tensor_file::bytes_of(t);
    return bytes;
  }

  /// A pass over blocks, on one stream, in which a kernel checks each.
  void pass(const runtime& r, stream_ref on, what_to_expect expected, const std::vector<block_index>& blocks,
            const pass_options& options = {.wraps = false}) {
    auto forward = r.managed_forward(on, options);
    for (const block_index b : blocks) {
      auto held = forward.use(b);
      check(on, (this->*expected)(held));
    }
  }
  void pass(const runtime& r, stream_ref on, what_to_expect expected) {
    pass(r, on, expected, {r.blocks().begin(), r.blocks().end()});
  }

  /// A kernel that writes the next version into a block. Tried again, it writes one more.
  void write_version(stream_ref on, block_index b) {
    auto forward = versioned_.managed_forward(on, {.prefetch_blocks = 0, .wraps = false});
    auto held = forward.use(b);
    held.mark_dirty();
    const auto next = static_cast<std::byte>(static_cast<int>(versions_.newest) + 1);
    auto* data = static_cast<std::byte*>(held.device_ptr());
    const emulated::access touched{data, held.size_bytes(), true};
    bed_.launch(on, [data, next, size = held.size_bytes()] { std::memset(data, static_cast<int>(next), size); },
                {&touched, 1});
    versions_.newest = versions_.version[b] = next;
  }
  void check_version(stream_ref on, block_index b) {
    auto forward = versioned_.managed_forward(on, {.prefetch_blocks = 0, .wraps = false});
    auto held = forward.use(b);
    const auto* data = static_cast<const std::byte*>(held.device_ptr());
    const emulated::access touched{data, held.size_bytes(), false};
    bed_.launch(on,
                [this, data, size = held.size_bytes(), version = versions_.version[b]] {
                  if (std::any_of(data, data + size, [version](std::byte x) { return x != version; }))
                    wrong_.fetch_add(1, core::order::relaxed);
                },
                {&touched, 1});
  }

  // ---- steps ------------------------------------------------------------------------------------------------

  void begin();
  void use_models();
  void write();
  void reserve();
  void rearrange();
  void end();
  void add(const char* name, runtime& to, const std::function<model()>& make) {
    if (sched_) step(name, [&] { to = sched_->add_runtime(name, make()); });
  }
  [[nodiscard]] bool ready() const {
    return sched_ && a_ && b_ && staged_.state() && pinned_.state() && file_.state() && versioned_.state() &&
           small_.state() && large_.state();
  }
  void check_versions();

  fault_bed& bed_;
  material::parts& from_;
  core::atomic<const char*>& at_;
  run_report report_;
  core::atomic<std::uint64_t> wrong_{0};
  std::map<std::string, std::vector<std::byte>> file_bytes_;
  versioned_model versions_;
  std::optional<stream> a_, b_;
  std::optional<scheduler> sched_;
  runtime staged_, pinned_, file_, versioned_, small_, large_;
};

void workload::begin() {
  step("create_stream", [&] { a_.emplace(bed_.device().create_stream()); });
  step("create_stream", [&] { b_.emplace(bed_.device().create_stream()); });
  step("scheduler", [&] {
    // One slab: a slab that is not given back ends all staged loads.
    sched_.emplace(bed_.device(), scheduler_options{.vram_budget = budget,
                                                    .high_watermark = 1,
                                                    .low_watermark = 1,
                                                    .load_deadline = std::chrono::seconds(300),
                                                    .page_bytes = page,
                                                    .chunk_bytes = page,
                                                    .staging_slabs = 1});
  });
  add("staged", staged_, [&] { return from_.staged.model({.pinned = false}); });
  add("pinned", pinned_, [&] { return from_.pinned.model(); });
  add("file", file_, [&] { return from_.file.open(); });
  add("versioned", versioned_, [&] { return versions_.as_model(); });
  add("small", small_, [&] { return from_.small.model(); });
  add("large", large_, [&] { return from_.large.model(); });
}

void workload::use_models() {
  if (!ready()) return;
  step("keep_resident and load", [&] {
    auto kept = pinned_.keep_resident({.load = true});
    pass(pinned_, *a_, &workload::in_pinned);
  });
  step("two passes on two streams", [&] {
    auto first = staged_.managed_forward(*a_);
    auto second = file_.managed_forward(*b_, {.order = order::reverse});
    for (block_index b = 0; b < file_blocks; ++b) {
      auto one = first.use(b);
      auto other = second.use(file_blocks - 1 - b);
      check(*a_, in_staged(one));
      check(*b_, in_file(other));
    }
  });
  step("one block on two streams", [&] {
    pass(staged_, *a_, &workload::in_staged, {3}, {.prefetch_blocks = 0});
    pass(staged_, *b_, &workload::in_staged, {3}, {.prefetch_blocks = 0});
  });
  step("a list with repeats", [&] { pass(pinned_, *b_, &workload::in_pinned, {0, 2, 0, 1}, {.order = {0, 2, 0, 1}}); });
  step("no known order", [&] {
    auto forward = file_.managed_forward(*a_, {.order = order::data_dependent});
    forward.prefetch(std::array<block_index, 2>{2, 0});
    check(*a_, in_file(forward.use(0)));
    check(*a_, in_file(forward.use(2)));
  });
}

void workload::write() {
  if (!ready()) return;
  for (block_index b = 0; b < versioned_model::count; ++b) step("write", [&] { write_version(*a_, b); });
  step("push dirty blocks out", [&] { pass(pinned_, *b_, &workload::in_pinned); });
  for (block_index b = 0; b < versioned_model::count; ++b)
    step("read what was written", [&] { check_version(*b_, b); });
  step("synchronize", [&] { b_->synchronize(); });
  step("write again", [&] { write_version(*b_, 1); });
  step("push dirty blocks out again", [&] { pass(staged_, *a_, &workload::in_staged); });
}

void workload::reserve() {
  if (!ready()) return;
  step("primary reservation", [&] {
    auto reserved = staged_.reserve_for_resident({.bytes = 5 * page, .allow_partial = true});
    pass(staged_, *a_, &workload::in_staged);
    reserved.release();
  });
  step("guest", [&] {
    auto guest = staged_.as_guest(file_);
    pass(file_, *a_, &workload::in_file);
    pass(file_, *b_, &workload::in_file);
  });
  step("after the guest", [&] { pass(pinned_, *b_, &workload::in_pinned); });
  step("bytes with memory", [&] {
    auto bytes = sched_->budget().reserve_bytes(4 * page, "workspace", {.with_memory = true});
    const emulated::access touched{bytes.device_ptr(), bytes.size_bytes(), true};
    bed_.launch(*a_, [=] { std::memset(const_cast<void*>(touched.data), 1, touched.size_bytes); }, {&touched, 1});
    a_->synchronize();
  });
  step("a smaller budget", [&] {
    sched_->set_vram_budget(10 * page);
    pass(staged_, *a_, &workload::in_staged);
  });
  step("the budget as before", [&] { sched_->set_vram_budget(budget); });
}

void workload::rearrange() {
  if (!ready()) return;
  step("fill with small blocks", [&] { pass(small_, *a_, &workload::in_small); });
  step("move blocks together", [&] {
    auto guard = small_.protect_blocks({0, 2, 4, 6, 8, 10, 12, 14});
    pass(large_, *b_, &workload::in_large, {0}, {.prefetch_blocks = 0, .wraps = false});
    pass(small_, *b_, &workload::in_small, {0, 2, 4, 6, 8, 10, 12, 14}, {.prefetch_blocks = 0, .wraps = false});
  });
  step("remove", [&] {
    sched_->remove_runtime(large_);
    large_ = {};
  });
  add("large", large_, [&] { return from_.large.model(); });
  if (!ready()) return;
  step("large again", [&] { pass(large_, *a_, &workload::in_large); });
  step("write before the end", [&] { write_version(*a_, 2); });
  step("scheduler::synchronize", [&] { sched_->synchronize(); });
}

/// Nothing is there any more, and every byte has come back.
void workload::end() {
  if (ready())
    for (const runtime* r : {&staged_, &pinned_, &file_, &small_, &large_})
      if (r->state()) step("remove all", [&] { sched_->remove_runtime(*r); });
  if (ready() && !lost()) {
    step("evict the rest", [&] {
      auto bytes = sched_->budget().reserve_bytes(budget, "all of it", {.deadline = std::chrono::seconds(5)});
    });
    step("write once more", [&] { write_version(*a_, 1); });
  }
  at_.store("end", core::order::relaxed);
  sched_.reset();
  check_versions();
  a_.reset();
  b_.reset();
  for (runtime* r : {&staged_, &pinned_, &file_, &versioned_, &small_, &large_}) *r = {};  // they hold the device
  if (const auto wrong = wrong_.load(core::order::relaxed)) problem(fmt::format("{} kernels read wrong bytes", wrong));
  for (std::string& p : bed_.close()) problem(std::move(p));
}

/// What was written last is in the source. From a lost device older versions may be there, but nothing else.
void workload::check_versions() {
  const bool is_lost = lost();
  for (std::size_t b = 0; b < versioned_model::count; ++b) {
    const auto& bytes = versions_.bytes[b];
    const std::byte wanted = versions_.version[b];
    const auto good = [&](std::byte x) { return is_lost ? x <= versions_.newest : x == wanted; };
    const auto bad = std::count_if(bytes.begin(), bytes.end(), [&](std::byte x) { return !good(x); });
    if (bad != 0) problem(fmt::format("{} bytes of dirty block {} were lost", bad, b));
  }
}

}  // namespace

run_report run_workload(fault_bed& bed, const material& from, core::atomic<const char*>& at) {
  return workload(bed, from.all(), at).run();
}

}  // namespace pinrail::test
