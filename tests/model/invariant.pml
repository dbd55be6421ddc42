/* check(name, condition): an assertion that is reported by its name. */
#define invariant_name hidden byte
#define check(name, condition) assert((condition) || name)

/* In init, with a byte i: n processes of a kind; and when all have ended. */
#define start(n, process) i = 0; do :: i < n -> run process; i++ :: else -> break od; i = 0
#define all_ended _nr_pr == 1
