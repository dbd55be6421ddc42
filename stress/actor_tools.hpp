// The templates of actor.hpp.
#pragma once

#include <algorithm>

#include "actor.hpp"

namespace stress {

inline std::uint64_t as_ns(std::chrono::nanoseconds d) noexcept { return static_cast<std::uint64_t>(d.count()); }

template <class T>
std::size_t actor::count_held() const {
  return static_cast<std::size_t>(std::count_if(hand_->held.begin(), hand_->held.end(), [](const holding& h) {
    return std::holds_alternative<std::unique_ptr<T>>(h);
  }));
}

template <class T>
T* actor::one_held() {
  const std::size_t count = count_held<T>();
  if (count == 0) return nullptr;
  std::size_t skip = dice_.below(count);
  for (holding& h : hand_->held)
    if (auto* const found = std::get_if<std::unique_ptr<T>>(&h); found != nullptr && skip-- == 0) return found->get();
  return nullptr;
}

template <class T>
std::unique_ptr<T> actor::take_out() {
  const T* const chosen = one_held<T>();
  const auto found = std::find_if(hand_->held.begin(), hand_->held.end(), [chosen](const holding& h) {
    const auto* const p = std::get_if<std::unique_ptr<T>>(&h);
    return p != nullptr && p->get() == chosen;
  });
  if (found == hand_->held.end()) return nullptr;
  std::unique_ptr<T> taken = std::move(std::get<std::unique_ptr<T>>(*found));
  hand_->held.erase(found);
  return taken;
}

template <class Throwing, class Trying>
auto actor::attempt(operation what, std::uint64_t deadline_ns, std::uint32_t slot, std::uint32_t block,
                    Throwing&& throwing, Trying&& trying) -> std::optional<decltype(throwing())> {
  std::optional<decltype(throwing())> got;
  const doing now(mine_, to_string(what), deadline_ns, slot, block);
  try {
    if (dice_.chance(50)) {
      got.emplace(throwing());
    } else if (auto answer = trying()) {
      got.emplace(std::move(*answer));
    } else {
      refused(what, answer.why(), "the try_ form", now);
    }
  } catch (const pinrail::error& e) {
    refused(what, e.why(), e.what(), now);
  }
  if (deadline_ns != 0) tally_.longest_overrun_ns = std::max(tally_.longest_overrun_ns, now.overrun_ns());
  if (got) done(what);
  return got;
}

}  // namespace stress
