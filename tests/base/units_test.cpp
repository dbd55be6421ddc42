#include "pinrail/units.hpp"

#include <gtest/gtest.h>

#include "pinrail/error.hpp"

namespace pinrail::test {
namespace {

TEST(units, what_format_bytes_writes_parse_bytes_reads) {
  for (unsigned bit = 0; bit < 63; ++bit) {
    const std::uint64_t power = std::uint64_t{1} << bit;
    EXPECT_EQ(parse_bytes(format_bytes(power)), power) << format_bytes(power);
  }
  EXPECT_EQ(format_bytes(25769803776), "24.00 GiB");
  EXPECT_EQ(format_bytes(std::uint64_t{3} << 49), "1.50 PiB");
}

TEST(units, a_formatted_size_is_below_1024_of_its_unit) {
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1_MiB - 1), "1.00 MiB");
  EXPECT_EQ(format_bytes(1_GiB - 1), "1.00 GiB");
  EXPECT_EQ(format_bytes(1_MiB - 6), "1023.99 KiB");
}

TEST(units, sizes_of_2_63_and_above_are_refused) {
  EXPECT_EQ(parse_bytes("7.5EiB"), std::uint64_t{15} << 59);
  EXPECT_THROW((void)parse_bytes("8EiB"), error);
}

}  // namespace
}  // namespace pinrail::test
