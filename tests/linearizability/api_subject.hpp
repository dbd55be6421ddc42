// A scheduler with three runtimes through the public interface, and what it does one call at a time.
#pragma once

#include <array>
#include <optional>
#include <random>
#include <vector>

#include "support/linearizability.hpp"
#include "support/rig.hpp"

namespace pinrail::test {

struct api_spec {
  static constexpr std::uint32_t runtimes = 3;
  static constexpr std::uint32_t blocks = 2;  // of each runtime: one of 1 page, one of 2
  static constexpr std::uint64_t pages = 4;   // the budget; all blocks have 9
  static constexpr std::uint64_t largest_pages = 2;
  static constexpr std::uint64_t footprint_pages = 3;

  struct block {
    std::uint32_t pins = 0;
    std::uint32_t protections = 0;
    bool loaded = false;  ///< a use has loaded it since it was last seen absent
    bool late = false;    ///< a use gave up: its load may still arrive
    bool firm = false;    ///< seen resident while something holds it: so it stays
    bool operator==(const block&) const = default;
  };
  struct runtime {
    reservation_kind kind = reservation_kind::none;
    std::uint64_t share = 0;
    std::uint32_t scopes = 0;  ///< of guests
    std::uint32_t handle = 0;  ///< the reservation is this handle's
    std::uint32_t guards = 0;
    std::array<block, blocks> all = {};
    bool operator==(const runtime&) const = default;
  };
  struct state {
    std::array<runtime, runtimes> all;
    bool operator==(const state&) const = default;

    [[nodiscard]] std::uint64_t headroom() const {
      std::uint64_t left = pages;
      for (const runtime& r : all) left -= r.share;
      return left;
    }
  };

  enum class call {
    reserve,
    release,
    release_any,
    active,  // reservations
    enter_guest,
    leave_guest,
    keep,
    end_keep,
    protect,
    unprotect,  // guards
    use,
    end_use,
    is_resident,
    grant,
    guards,
    headroom,
    used,
  };

  struct operation {
    call what = call::headroom;
    std::uint32_t index = 0;  ///< of the runtime
    std::uint32_t block = 0;
    reservation_kind kind = reservation_kind::none;
    std::uint64_t wanted = 0;
    bool partial = false;
    std::uint32_t handle = 0;
    // How it ended.
    errc code = errc::none;
    bool yes = false;
    std::uint64_t value = 0;   ///< pages, or guards
    std::uint64_t needed = 0;  ///< of a refusal, in pages
    std::uint64_t available = 0;
  };

  [[nodiscard]] std::size_t hash(const state& s) const;
  template <class Visit>
  void after(const state& now, const operation& o, Visit&& visit) const {
    state next = now;
    if (apply(next, o)) visit(next);
  }
  [[nodiscard]] std::string text(const operation& o) const;

 private:
  [[nodiscard]] static bool apply(state& s, const operation& o);
};

struct api_calls {
  using call = api_spec::call;
  static constexpr std::array mix{
      call::reserve,     call::reserve,     call::release,     call::release_any, call::active,   call::enter_guest,
      call::leave_guest, call::leave_guest, call::keep,        call::end_keep,    call::end_keep, call::protect,
      call::unprotect,   call::unprotect,   call::use,         call::use,         call::use,      call::use,
      call::use,         call::use,         call::end_use,     call::end_use,     call::end_use,  call::end_use,
      call::is_resident, call::is_resident, call::is_resident, call::grant,       call::guards,   call::headroom,
      call::used};

  static bool release(reservation& handle, const runtime&) { return handle.release(); }
  static result<guest_guard> enter_guest(const runtime& r, budget_control&) { return r.try_as_guest(r); }
  static bool is_resident(const runtime& r, block_index b) { return r.is_resident(b); }
};

template <class Calls>
class api_subject {
 public:
  using spec = api_spec;
  using call = spec::call;

  explicit api_subject(std::uint64_t) {
    for (std::uint32_t i = 0; i < spec::runtimes; ++i)
      runtimes_.push_back(rig_.add(std::string(1, static_cast<char>('a' + i)), {rig::page_bytes, 2 * rig::page_bytes}));
    for (auto& h : held_) h.stream = rig_.device().create_stream();
  }
  [[nodiscard]] spec::state initial() const { return {}; }

  spec::operation pick(unsigned thread, std::mt19937_64& random);
  void perform(unsigned thread, spec::operation& o);

  [[nodiscard]] std::vector<spec::operation> looks() const {
    std::vector<spec::operation> all{{.what = call::headroom}, {.what = call::used}};
    for (std::uint32_t i = 0; i < spec::runtimes; ++i) {
      all.push_back({.what = call::grant, .index = i});
      all.push_back({.what = call::guards, .index = i});
      for (std::uint32_t b = 0; b < spec::blocks; ++b)
        all.push_back({.what = call::is_resident, .index = i, .block = b});
    }
    return all;
  }

 private:
  /// What one thread holds of one runtime.
  struct holding {
    reservation handle;
    std::uint32_t handle_id = 0;
    guest_guard guest;
    residency_guard kept;
    std::array<block_guard, spec::blocks> protections;
    std::array<std::optional<forward_pass>, spec::blocks> passes;
    std::array<use, spec::blocks> uses;
  };
  struct thread_holding {
    pinrail::stream stream;
    std::uint32_t handles = 0;
    std::array<holding, spec::runtimes> of;
    [[nodiscard]] bool uses_any() const {
      for (const holding& h : of)
        for (const auto& p : h.passes)
          if (p) return true;
      return false;
    }
  };

  [[nodiscard]] bool may(unsigned thread, const spec::operation& o) const;
  void reserve(holding& mine, const pinrail::runtime& r, spec::operation& o);
  void begin_use(thread_holding& mine, spec::operation& o);
  static void refused(const failure& why, spec::operation& o) {
    o.code = why.code;
    o.needed = why.needed_bytes / rig::page_bytes;
    o.available = why.available_bytes / rig::page_bytes;
  }

  rig rig_{{.vram_budget = spec::pages * rig::page_bytes,
            .high_watermark = 1,
            .load_deadline = std::chrono::milliseconds(1)}};
  std::vector<named_runtime> runtimes_;
  std::array<thread_holding, 5> held_;  // by thread
};

template <class Calls>
bool api_subject<Calls>::may(unsigned thread, const spec::operation& o) const {
  const holding& mine = held_[thread].of[o.index];
  switch (o.what) {
    case call::release:
    case call::active:
      return mine.handle_id != 0;
    case call::enter_guest:
      return !mine.guest.active();
    case call::leave_guest:
      return mine.guest.active();
    case call::keep:
      return !mine.kept.active();
    case call::end_keep:
      return mine.kept.active();
    case call::protect:
      return !mine.protections[o.block].active();
    case call::unprotect:
      return mine.protections[o.block].active();
    case call::use:
      return !held_[thread].uses_any();  // one at a time
    case call::end_use:
      return mine.passes[o.block].has_value();
    default:
      return true;
  }
}

template <class Calls>
api_spec::operation api_subject<Calls>::pick(unsigned thread, std::mt19937_64& random) {
  const auto below = [&](std::uint64_t n) { return static_cast<std::uint32_t>(random() % n); };
  for (;;) {
    spec::operation o{
        .what = Calls::mix[below(Calls::mix.size())], .index = below(spec::runtimes), .block = below(spec::blocks)};
    if (!may(thread, o)) continue;
    o.kind = below(2) == 0 ? reservation_kind::primary : reservation_kind::secondary;
    o.wanted = spec::largest_pages + below(2);
    o.partial = below(3) == 0;
    o.handle = o.what == call::reserve ? 100 * ++held_[thread].handles + thread : held_[thread].of[o.index].handle_id;
    return o;
  }
}

template <class Calls>
void api_subject<Calls>::reserve(holding& mine, const pinrail::runtime& r, spec::operation& o) {
  auto handle = r.try_reserve_for_resident(
      {.priority = o.kind == reservation_kind::primary ? priority::primary : priority::secondary,
       .bytes = o.wanted * rig::page_bytes,
       .allow_partial = o.partial});
  if (!handle) return refused(handle.why(), o);
  o.value = handle->share_bytes() / rig::page_bytes;
  mine.handle = *handle;
  mine.handle_id = o.handle;
}

template <class Calls>
void api_subject<Calls>::begin_use(thread_holding& mine, spec::operation& o) {
  const named_runtime& r = runtimes_[o.index];
  auto pass = r.handle.try_managed_forward(mine.stream, {.prefetch_blocks = 0, .wraps = false});
  if (!pass) return refused(pass.why(), o);
  auto held = pass->try_use(o.block);
  if (!held) return refused(held.why(), o);
  rig_.check(*held, r, mine.stream);
  mine.of[o.index].passes[o.block].emplace(std::move(*pass));
  mine.of[o.index].uses[o.block] = std::move(*held);
}

template <class Calls>
void api_subject<Calls>::perform(unsigned thread, spec::operation& o) {
  thread_holding& all = held_[thread];
  holding& mine = all.of[o.index];
  const pinrail::runtime& r = runtimes_[o.index].handle;
  switch (o.what) {
    case call::reserve:
      return reserve(mine, r, o);
    case call::release:
      o.yes = Calls::release(mine.handle, r);
      return;
    case call::release_any:
      o.yes = r.release_reservation();
      return;
    case call::active:
      o.yes = mine.handle.active();
      return;
    case call::enter_guest: {
      auto scope = Calls::enter_guest(r, rig_.sched().budget());
      if (!scope) return refused(scope.why(), o);
      o.value = scope->share_bytes() / rig::page_bytes;
      mine.guest = std::move(*scope);
      return;
    }
    case call::leave_guest:
      return mine.guest.end();
    case call::keep:
      mine.kept = r.keep_resident();
      return;
    case call::end_keep:
      return mine.kept.end();
    case call::protect:
      mine.protections[o.block] = r.protect_blocks({o.block});
      return;
    case call::unprotect:
      return mine.protections[o.block].end();
    case call::use:
      return begin_use(all, o);
    case call::end_use:
      mine.uses[o.block].end();
      mine.passes[o.block].reset();
      return;
    case call::is_resident:
      o.yes = Calls::is_resident(r, o.block);
      return;
    case call::grant: {
      const auto s = r.statistics();
      o.kind = s.reservation;
      o.value = s.share_bytes / rig::page_bytes;
      return;
    }
    case call::guards:
      o.value = r.statistics().guards;
      return;
    case call::headroom:
      o.value = rig_.sched().budget().headroom_bytes() / rig::page_bytes;
      return;
    case call::used:
      o.value = rig_.sched().budget().used_bytes() / rig::page_bytes;
      return;
  }
}

}  // namespace pinrail::test
