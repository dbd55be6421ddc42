// Expecting an error, by its code and by what its message names.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "pinrail/error.hpp"

namespace pinrail::test {

/// Runs `call`, which must throw a pinrail::error.
template <class Call>
std::optional<error> caught(Call&& call) {
  try {
    call();
  } catch (const error& e) {
    return e;
  }
  ADD_FAILURE() << "nothing was thrown";
  return std::nullopt;
}

/// `call` throws a pinrail::error with this code, whose message has all of these in it.
template <class Call>
void expect_refusal(Call&& call, errc code, const std::vector<std::string>& fragments) {
  const std::optional<error> refused = caught(call);
  if (!refused) return;
  EXPECT_EQ(refused->code(), code) << to_string(refused->code()) << ": " << refused->what();
  for (const std::string& fragment : fragments) {
    EXPECT_THAT(refused->what(), testing::HasSubstr(fragment));
  }
  EXPECT_LT(std::string_view(refused->what()).size(), 2000u) << "a message is for people";
}

}  // namespace pinrail::test
