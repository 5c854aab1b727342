-- What a session in a state does with an event. Written from ocs/domain/session.py by
-- ocs/adapters/valkey/states.py; change it there.
local STATES = {
  none = {
    start = { holds = true, granted = 'open', refused = 'refused' },
    update = { holds = true, granted = 'open', refused = 'idle' },
    release = { holds = false, granted = 'closed', refused = 'closed' },
    event = { holds = true, granted = 'closed', refused = 'closed' },
  },
  open = {
    start = { holds = false, granted = 'open', refused = 'open', repeats_start = true },
    update = { holds = true, granted = 'open', refused = 'idle' },
    release = { holds = false, granted = 'closed', refused = 'closed' },
    event = { holds = true, granted = 'open', refused = 'open' },
  },
  idle = {
    start = { holds = false, granted = 'idle', refused = 'idle', repeats_start = true },
    update = { holds = true, granted = 'open', refused = 'idle' },
    release = { holds = false, granted = 'closed', refused = 'closed' },
    event = { holds = true, granted = 'idle', refused = 'idle' },
  },
  closed = {
    start = { holds = false, granted = 'closed', refused = 'closed', code = 'SESSION_CLOSED' },
    update = { holds = false, granted = 'closed', refused = 'closed', code = 'SESSION_CLOSED' },
    release = { holds = false, granted = 'closed', refused = 'closed', code = 'SESSION_CLOSED' },
    event = { holds = true, granted = 'closed', refused = 'closed' },
  },
  expired = {
    start = { holds = true, granted = 'open', refused = 'idle' },
    update = { holds = true, granted = 'open', refused = 'idle' },
    release = { holds = false, granted = 'closed', refused = 'closed' },
    event = { holds = true, granted = 'expired', refused = 'expired' },
  },
  refused = {
    start = { holds = true, granted = 'open', refused = 'refused' },
    update = { holds = true, granted = 'open', refused = 'idle' },
    release = { holds = false, granted = 'closed', refused = 'closed' },
    event = { holds = true, granted = 'refused', refused = 'refused' },
  },
}
