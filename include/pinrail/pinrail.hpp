// Pinrail: which model blocks live in GPU memory while several models share one GPU.
#pragma once

#include "pinrail/block_pin.hpp"
#include "pinrail/device.hpp"
#include "pinrail/error.hpp"
#include "pinrail/forward_pass.hpp"
#include "pinrail/guards.hpp"
#include "pinrail/log.hpp"
#include "pinrail/model.hpp"
#include "pinrail/options.hpp"
#include "pinrail/runtime.hpp"
#include "pinrail/scheduler.hpp"
#include "pinrail/statistics.hpp"
#include "pinrail/trace.hpp"
#include "pinrail/units.hpp"
#include "pinrail/version.hpp"
#include "pinrail/workspace.hpp"
#include "pinrail/workspace_resource.hpp"
