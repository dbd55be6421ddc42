// What a fuzz target says when an oracle is broken.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <utility>

#include "pinrail/error.hpp"

namespace pinrail::fuzz {

/// Ends the process if `holds` is false, which libFuzzer takes for a finding.
template <class... Args>
void expect(bool holds, fmt::format_string<Args...> text, Args&&... args) {
  if (holds) [[likely]]
    return;
  fmt::print(stderr, "ORACLE BROKEN: {}\n", fmt::format(text, std::forward<Args>(args)...));
  std::fflush(stderr);
  std::abort();
}

/// Runs `call` and returns what it threw, if anything. Only a pinrail::error with one of these codes, a message for
/// people, and no other exception may come out.
template <class Call>
std::optional<error> refusal(std::initializer_list<errc> allowed, Call&& call) {
  try {
    std::forward<Call>(call)();
    return std::nullopt;
  } catch (const error& e) {
    bool is_allowed = false;
    for (const errc code : allowed) is_allowed |= e.code() == code;
    expect(is_allowed, "refused with {}, which is not documented: {}", to_string(e.code()), e.what());
    expect(e.what()[0] != '\0', "refused with {} and without a message", to_string(e.code()));
    return e;
  }
}

}  // namespace pinrail::fuzz
