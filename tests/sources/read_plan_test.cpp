// A plan reads every byte of a block once, into the right place, in chunks that keep their limits.

#include "sources/read_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "support/seed.hpp"

namespace pinrail::test {
namespace {

using sources::max_gap_bytes;
using sources::piece;
using sources::piece_list;
using sources::placement;
using sources::planned_chunk;
using sources::read_plan;

std::vector<planned_chunk> chunks_of(const read_plan& plan, block_index block = 0) {
  std::vector<planned_chunk> chunks;
  for (std::uint32_t c = 0; c < plan.chunk_count(block); ++c) chunks.push_back(*plan.find(block, c));
  return chunks;
}

read_plan plan_of(const std::vector<placement>& placements, std::uint64_t chunk_bytes) {
  read_plan plan(chunk_bytes);
  plan.add_block(placements);
  return plan;
}

placement at(std::uint64_t file, std::uint64_t block, std::uint64_t size, std::uint32_t shard = 0) {
  return {.shard = shard, .file_offset_bytes = file, .block_offset_bytes = block, .size_bytes = size};
}

TEST(read_plan, merges_what_is_adjacent_in_file_and_block) {
  const read_plan plan = plan_of({at(100, 0, 256), at(356, 256, 44)}, 1 << 20);
  ASSERT_EQ(plan.chunk_count(0), 1u);
  const planned_chunk& chunk = *plan.find(0, 0);
  ASSERT_EQ(chunk.piece_count, 1u);
  EXPECT_EQ(plan.pieces(chunk)[0].slab_offset_bytes, 100u);
  EXPECT_EQ(plan.pieces(chunk)[0].size_bytes, 300u);
  EXPECT_EQ(plan.max_slab_bytes(), 4096u);
}

TEST(read_plan, keeps_apart_what_is_adjacent_only_in_the_file) {
  const read_plan plan = plan_of({at(100, 0, 10), at(110, 256, 10)}, 1 << 20);
  ASSERT_EQ(plan.chunk_count(0), 1u);
  EXPECT_EQ(plan.find(0, 0)->piece_count, 2u);
}

TEST(read_plan, reads_over_small_gaps_only) {
  EXPECT_EQ(plan_of({at(0, 0, 10), at(10 + max_gap_bytes, 10, 10)}, 1 << 20).chunk_count(0), 1u);
  EXPECT_EQ(plan_of({at(0, 0, 10), at(11 + max_gap_bytes, 10, 10)}, 1 << 20).chunk_count(0), 2u);
}

TEST(read_plan, starts_a_chunk_for_another_shard) {
  EXPECT_EQ(plan_of({at(0, 0, 10, 0), at(10, 10, 10, 1)}, 1 << 20).chunk_count(0), 2u);
}

TEST(read_plan, cuts_large_tensors_at_page_boundaries) {
  const read_plan plan = plan_of({at(1000, 0, 100'000)}, 8192);
  const std::vector<planned_chunk> chunks = chunks_of(plan);
  EXPECT_EQ(chunks.front().file_begin_bytes, 1000u);
  EXPECT_EQ(chunks.front().file_end_bytes, 8192u);
  for (std::size_t c = 1; c < chunks.size(); ++c) {
    EXPECT_EQ(chunks[c].file_begin_bytes, chunks[c - 1].file_end_bytes);
    EXPECT_EQ(chunks[c].file_begin_bytes % 8192, 0u);
  }
  EXPECT_EQ(chunks.back().file_end_bytes, 101'000u);
  EXPECT_EQ(plan.max_slab_bytes(), 8192u);
}

TEST(read_plan, has_no_more_pieces_in_a_chunk_than_fit_a_list) {
  std::vector<placement> placements;
  for (std::uint64_t i = 0; i < 1000; ++i) placements.push_back(at(i * 10, i * 256, 10));
  const read_plan plan = plan_of(placements, 1 << 20);
  EXPECT_EQ(plan.chunk_count(0), (1000 + piece_list::capacity - 1) / piece_list::capacity);
  EXPECT_EQ(plan.find(0, 0)->piece_count, piece_list::capacity);
}

TEST(read_plan, gives_an_empty_block_a_chunk_without_pieces) {
  read_plan plan(4096);
  plan.add_block({});
  plan.add_block(std::vector{at(0, 0, 1)});
  ASSERT_EQ(plan.chunk_count(0), 1u);
  EXPECT_EQ(plan.find(0, 0)->piece_count, 0u);
  EXPECT_EQ(plan.find(0, 1), nullptr);
  EXPECT_EQ(plan.chunk_count(1), 1u);
  EXPECT_EQ(plan.chunk_count(2), 0u);
  EXPECT_EQ(plan.chunk_count(UINT32_MAX), 0u);
  EXPECT_EQ(plan.find(UINT32_MAX, 0), nullptr);
}

/// Random placements in file order, in one to three shards, with gaps of all sizes.
std::vector<placement> random_placements(std::mt19937_64& random) {
  std::vector<placement> placements;
  std::uint64_t in_block = 0;
  for (std::uint32_t shard = 0; shard < 1 + random() % 3; ++shard) {
    std::uint64_t in_file = random() % 10'000;
    for (std::uint64_t i = random() % 100; i > 0; --i) {
      const std::uint64_t size = 1 + random() % (std::uint64_t{1} << (random() % 18));
      placements.push_back(at(in_file, in_block, size, shard));
      in_file += size + (random() % 2) * (random() % (std::uint64_t{1} << (random() % 20)));
      in_block += size + (random() % 2) * (random() % 256);
    }
  }
  return placements;
}

/// The placements that the plan's pieces amount to, merged where they touch.
std::vector<placement> read_by(const read_plan& plan, std::uint64_t chunk_bytes) {
  std::vector<placement> parts;
  for (const planned_chunk& chunk : chunks_of(plan)) {
    EXPECT_LE(chunk.slab_bytes(), chunk_bytes);
    EXPECT_LE(chunk.slab_bytes(), plan.max_slab_bytes());
    EXPECT_LE(chunk.piece_count, piece_list::capacity);
    const std::uint64_t window = chunk.file_begin_bytes / 4096 * 4096;
    for (const piece& part : plan.pieces(chunk)) {
      EXPECT_GE(window + part.slab_offset_bytes, chunk.file_begin_bytes);
      EXPECT_LE(window + part.slab_offset_bytes + part.size_bytes, chunk.file_end_bytes);
      parts.push_back(at(window + part.slab_offset_bytes, part.block_offset_bytes, part.size_bytes, chunk.shard));
    }
  }
  return parts;
}

std::vector<placement> merged(const std::vector<placement>& parts) {
  std::vector<placement> out;
  for (const placement& part : parts) {
    const bool touches = !out.empty() && out.back().shard == part.shard &&
                         out.back().file_offset_bytes + out.back().size_bytes == part.file_offset_bytes &&
                         out.back().block_offset_bytes + out.back().size_bytes == part.block_offset_bytes;
    if (touches) {
      out.back().size_bytes += part.size_bytes;
    } else {
      out.push_back(part);
    }
  }
  return out;
}

TEST(read_plan, reads_each_byte_once_whatever_the_layout) {
  const std::uint64_t seed = run_seed();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    const std::vector<placement> placements = random_placements(random);
    const std::uint64_t chunk_bytes = 4096 * (1 + random() % 32);
    const read_plan plan = plan_of(placements, chunk_bytes);
    const std::vector<placement> expected = merged(placements);
    const std::vector<placement> actual = merged(read_by(plan, chunk_bytes));
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(actual[i].shard, expected[i].shard);
      ASSERT_EQ(actual[i].file_offset_bytes, expected[i].file_offset_bytes);
      ASSERT_EQ(actual[i].block_offset_bytes, expected[i].block_offset_bytes);
      ASSERT_EQ(actual[i].size_bytes, expected[i].size_bytes);
    }
  }
}

}  // namespace
}  // namespace pinrail::test
