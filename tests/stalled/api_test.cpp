// Every call of the public interface, suspended before each atomic access that the library makes in it.
#include "stalled/api_world.hpp"

namespace pinrail::test {
namespace {

struct stalled_call : testing::TestWithParam<api_operation> {};
struct stalled_copies : testing::TestWithParam<api_operation> {};

TEST_P(stalled_call, others_go_on) {
  report(GetParam(), stalled_experiment<api_world, api_actor>(api_operations()).run(GetParam()));
}

/// The suspended thread is the library's; the others do all that users do.
TEST_P(stalled_copies, others_go_on) {
  report(GetParam(), stalled_experiment<api_world, api_actor>(api_operations()).run(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(calls, stalled_call, testing::ValuesIn(api_operations()), name_of<api_operation>);
INSTANTIATE_TEST_SUITE_P(calls, stalled_copies, testing::ValuesIn(copy_operations()), name_of<api_operation>);

}  // namespace
}  // namespace pinrail::test
