#include "device/emulated/shadow_map.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace pinrail::devices {
namespace {

touch by(std::uint32_t stream, std::uint64_t time, toucher what = toucher::kernel) { return {{stream, time}, what}; }

vector_clock clock_of(std::vector<std::uint64_t> times) {
  vector_clock clock;
  for (std::uint32_t s = 0; s < times.size(); ++s) clock.set(s, times[s]);
  return clock;
}

void write(shadow_map& map, std::uintptr_t begin, std::uintptr_t end, const touch& who) {
  auto pieces = map.pieces(begin, end);
  for (auto& piece : pieces) piece.last.note_write(who);
  map.assign(pieces);
}

TEST(emulated_vector_clock, covers_what_it_joined) {
  vector_clock a = clock_of({3, 0, 5});
  EXPECT_TRUE(a.covers({0, 3}));
  EXPECT_FALSE(a.covers({0, 4}));
  EXPECT_FALSE(a.covers({7, 1}));
  EXPECT_TRUE(a.covers({7, 0}));
  a.join(clock_of({1, 2}));
  EXPECT_EQ(a.at(0), 3u);
  EXPECT_EQ(a.at(1), 2u);
  EXPECT_EQ(a.at(2), 5u);
  a.join(clock_of({0, 0, 0, 9}));
  EXPECT_EQ(a.at(3), 9u);
}

TEST(emulated_shadow, keeps_only_reads_that_nothing_orders) {
  shadow s;
  s.note_read(by(2, 1), clock_of({0, 0, 1}));
  s.note_read(by(1, 1), clock_of({0, 1, 0}));
  EXPECT_EQ(s.reads, (std::vector<touch>{by(1, 1), by(2, 1)}));
  s.note_read(by(1, 4), clock_of({0, 4, 0}));  // the same stream's later read replaces
  EXPECT_EQ(s.reads, (std::vector<touch>{by(1, 4), by(2, 1)}));
  s.note_read(by(0, 2), clock_of({2, 4, 1}));  // comes after both
  EXPECT_EQ(s.reads, (std::vector<touch>{by(0, 2)}));
}

TEST(emulated_shadow, a_write_takes_the_place_of_all_before) {
  shadow s;
  s.note_read(by(1, 1), clock_of({0, 1}));
  s.note_write(by(0, 1, toucher::discard));
  EXPECT_TRUE(s.discarded);
  EXPECT_TRUE(s.reads.empty());
  s.note_write(by(0, 1, toucher::copy_to_device));
  EXPECT_FALSE(s.discarded);
}

TEST(emulated_shadow, forgets_what_is_over_but_not_discards) {
  shadow s;
  s.note_write(by(0, 1));
  s.note_read(by(1, 1), clock_of({1, 1}));
  s.note_read(by(2, 1), clock_of({1, 0, 1}));
  s.forget(clock_of({1, 1, 0}));
  EXPECT_EQ(s.write.when.time, 0u);
  EXPECT_EQ(s.reads, (std::vector<touch>{by(2, 1)}));
  s.note_write(by(0, 2, toucher::discard));
  s.forget(clock_of({2}));
  EXPECT_TRUE(s.discarded);
  EXPECT_NE(s, shadow{});
}

TEST(emulated_shadow_map, gives_pieces_with_the_gaps) {
  shadow_map map;
  write(map, 100, 200, by(0, 1));
  write(map, 300, 400, by(0, 2));
  const auto pieces = map.pieces(150, 450);
  ASSERT_EQ(pieces.size(), 4u);
  const std::vector<std::uintptr_t> bounds{150, 200, 300, 400, 450};
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    EXPECT_EQ(pieces[i].begin, bounds[i]);
    EXPECT_EQ(pieces[i].end, bounds[i + 1]);
  }
  EXPECT_EQ(pieces[0].last.write, by(0, 1));
  EXPECT_EQ(pieces[1].last, shadow{});
  EXPECT_EQ(pieces[2].last.write, by(0, 2));
  EXPECT_EQ(pieces[3].last, shadow{});
}

TEST(emulated_shadow_map, joins_equal_neighbours) {
  shadow_map map;
  for (std::uintptr_t at = 0; at < 1000; at += 10) write(map, at, at + 10, by(0, 1));
  EXPECT_EQ(map.size(), 1u);
  write(map, 500, 510, by(0, 2));
  EXPECT_EQ(map.size(), 3u);
  write(map, 500, 510, by(0, 1));
  EXPECT_EQ(map.size(), 1u);
}

TEST(emulated_shadow_map, does_not_store_what_says_nothing) {
  shadow_map map;
  write(map, 100, 200, by(0, 1));
  map.assign({{150, 300, shadow{}}});
  EXPECT_EQ(map.size(), 1u);
  const auto pieces = map.pieces(100, 300);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[0].end, 150u);
}

TEST(emulated_shadow_map, forgets_ranges_that_are_over) {
  shadow_map map;
  write(map, 0, 10, by(0, 1));
  write(map, 10, 20, by(1, 1));
  write(map, 20, 30, by(0, 1, toucher::discard));
  write(map, 30, 40, by(1, 1, toucher::discard));
  map.forget(clock_of({1, 1}));
  // Two discards by different streams are one now.
  EXPECT_EQ(map.size(), 1u);
  EXPECT_TRUE(map.pieces(35, 36).front().last.discarded);
  map.erase(0, 40);
  EXPECT_EQ(map.size(), 0u);
}

TEST(emulated_shadow_map, agrees_with_one_shadow_per_byte) {
  constexpr std::size_t bytes = 64;
  std::mt19937 random(20240917);
  shadow_map map;
  std::vector<shadow> plain(bytes);
  for (std::uint64_t round = 1; round < 3000; ++round) {
    std::uintptr_t begin = random() % bytes;
    std::uintptr_t end = begin + 1 + random() % (bytes - begin);
    const auto stream = static_cast<std::uint32_t>(random() % 3);
    const touch who = by(stream, 1 + random() % 4, random() % 4 == 0 ? toucher::discard : toucher::kernel);
    const vector_clock known = clock_of({random() % 4, random() % 4, random() % 4});
    const bool writes = random() % 2 == 0;
    auto pieces = map.pieces(begin, end);
    for (auto& p : pieces) writes ? p.last.note_write(who) : p.last.note_read(who, known);
    map.assign(pieces);
    for (std::uintptr_t b = begin; b < end; ++b) writes ? plain[b].note_write(who) : plain[b].note_read(who, known);
    for (const auto& p : map.pieces(0, bytes)) {
      for (std::uintptr_t b = p.begin; b < p.end; ++b) ASSERT_EQ(p.last, plain[b]) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace pinrail::devices
