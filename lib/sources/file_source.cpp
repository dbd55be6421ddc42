#include "sources/file_source.hpp"

#include "sources/contract.hpp"

namespace pinrail::sources {

status file_source::read_chunk(block_index block, std::uint32_t chunk, std::span<std::byte> slab,
                               piece_list& pieces) noexcept {
  pieces.count = 0;
  const planned_chunk* const planned = plan_.find(block, chunk);
  if (planned == nullptr) return failure{.code = errc::invalid_argument};
  if (const status usable = check_slab(slab, planned->slab_bytes()); !usable) return usable;
  const status done = shards_[planned->shard].read(planned->file_begin_bytes, planned->file_end_bytes, slab);
  if (!done) return done;
  for (const piece& part : plan_.pieces(*planned)) pieces.add(part);
  return {};
}

}  // namespace pinrail::sources
