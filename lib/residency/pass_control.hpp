// Forward passes and uses: what the public classes do, without text and exceptions.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "pinrail/device.hpp"
#include "pinrail/forward_pass.hpp"
#include "pinrail/options.hpp"
#include "residency/scheduler_state.hpp"

namespace pinrail::residency {

/// `list` is for listed orders. Fails with `limit` at 64 live passes, `closed`, `invalid_argument` for a stream of
/// another device.
[[nodiscard]] result<pass_state*> open_pass(runtime_state& r, stream_ref stream, const pass_options& options,
                                            std::shared_ptr<const core::list_order> list) noexcept;
void close_pass(runtime_state& r, pass_state& p) noexcept;

/// Pins a block for the pass, loading it if it must, and orders the stream after its bytes. While the stream is
/// captured nothing can be loaded: `not_supported` for a block that is absent.
[[nodiscard]] result<void> begin_use(runtime_state& r, pass_state& p, std::uint32_t position,
                                     open_use& opened) noexcept;
/// Records the last use, then unpins.
void end_use(runtime_state& r, pass_state& p, std::uint32_t position, bool dirty, const open_use& opened) noexcept;

/// The parts of a use that concern a stream, for who has pinned the block without a pass.
[[nodiscard]] result<void> order_after_load(runtime_state& r, std::uint32_t position, std::uint32_t stream) noexcept;
[[nodiscard]] result<void> note_use(runtime_state& r, std::uint32_t position, std::uint32_t stream) noexcept;

/// Begins to load these, in this order, if there is room.
void prefetch(runtime_state& r, pass_state& p, std::span<const block_index> positions) noexcept;

/// Before kernels write to a block that the caller has pinned: waits for the end of a write-back under way.
[[nodiscard]] result<void> await_write_back(runtime_state& r, pass_state& p, std::uint32_t position) noexcept;

}  // namespace pinrail::residency
