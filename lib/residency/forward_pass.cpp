#include "pinrail/forward_pass.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "residency/pass_control.hpp"
#include "residency/refusals.hpp"
#include "sources/source.hpp"

namespace pinrail {

// ---- use --------------------------------------------------------------------------------------------------------

tensor_view use::tensor(std::string_view name) const {
  if (runtime_ == nullptr) throw error(errc::invalid_argument, "tensor() of a use that has ended");
  const block_info& block = runtime_->source_model().blocks()[block_];
  for (const tensor_info& t : block.tensors) {
    const std::string_view full = t.name;
    const bool suffix = full.size() == block.name.size() + 1 + name.size() && full.starts_with(block.name) &&
                        full[block.name.size()] == '.' && full.ends_with(name);
    if (full == name || suffix) return {data_ + t.offset_bytes, t.size_bytes, t.dtype, t.shape};
  }
  throw error(errc::invalid_argument,
              fmt::format("block '{}' of '{}' has no tensor '{}'; it has {}{}", block.name, runtime_->name(), name,
                          block.tensors.size(),
                          block.tensors.empty() ? "" : fmt::format(", the first is '{}'", block.tensors.front().name)));
}

void use::mark_dirty() {
  if (runtime_ == nullptr) throw error(errc::invalid_argument, "mark_dirty() of a use that has ended");
  if (!runtime_->source().is_writable())
    throw error(errc::read_only,
                fmt::format("mark_dirty(): the source of '{}' can't take blocks back", runtime_->name()));
  if (opened_.captured)
    throw error(errc::not_supported,
                fmt::format("mark_dirty() of a captured use of '{}': mark a use around the launch of "
                            "the graph",
                            runtime_->name()));
  if (const auto waited = residency::await_write_back(*runtime_, *pass_, block_); !waited)
    residency::refuse(runtime_->owner(), waited.why(), "mark_dirty()", runtime_);
  dirty_ = true;
}

void use::end() noexcept {
  if (runtime_ == nullptr) return;
  residency::end_use(*runtime_, *pass_, block_, dirty_, opened_);
  runtime_ = nullptr;
}

// ---- forward_pass -----------------------------------------------------------------------------------------------

result<use> forward_pass::try_use(block_index block) noexcept {
  if (pass_ == nullptr || block >= runtime_->blocks().size())
    return failure{.code = errc::invalid_argument,
                   .needed_bytes = block,
                   .available_bytes = pass_ != nullptr ? runtime_->blocks().size() : 0};
  pinrail::use held;
  if (const auto begun = residency::begin_use(*runtime_, *pass_, block, held.opened_); !begun) return begun.why();
  held.runtime_ = runtime_.get();
  held.pass_ = pass_;
  held.block_ = block;
  held.data_ = runtime_->owner().arena().address(runtime_->at(block).run().first);
  held.size_bytes_ = runtime_->size_bytes(block);
  return held;
}

use forward_pass::use(block_index block) {
  auto held = try_use(block);
  if (held) return std::move(*held);
  if (pass_ == nullptr) throw error(errc::invalid_argument, "use() of a forward pass that has ended");
  if (held.code() == errc::invalid_argument)
    throw error(held.why(), fmt::format("use({}) of '{}', which has {} blocks", block, runtime_->name(),
                                        runtime_->blocks().size()));
  if (held.code() == errc::not_supported)
    throw error(held.why(),
                fmt::format("use({}) of '{}': the stream is being captured and the block is not resident; load "
                            "it before (keep_resident with load), and keep it while the graph lives",
                            block, runtime_->name()));
  residency::refuse(runtime_->owner(), held.why(), fmt::format("use({}) of '{}'", block, runtime_->name()),
                    runtime_.get());
}

void forward_pass::prefetch(std::span<const block_index> blocks) noexcept {
  if (pass_ != nullptr) residency::prefetch(*runtime_, *pass_, blocks);
}

stream_ref forward_pass::stream() const noexcept {
  return pass_ != nullptr ? stream_ref(runtime_->owner().device(), pass_->stream) : stream_ref();
}

void forward_pass::end() noexcept {
  if (pass_ == nullptr) return;
  residency::close_pass(*runtime_, *pass_);
  pass_ = nullptr;
  runtime_.reset();
}

}  // namespace pinrail
