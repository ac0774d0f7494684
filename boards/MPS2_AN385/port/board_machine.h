// The port's part of the module machine (extmod/modmachine.c includes it).
#include <stdlib.h>

void board_idle(void);

static void mp_machine_idle(void) {
    board_idle();
}

static void mp_machine_reset(void) {
    exit(0); // ends QEMU
}

static mp_int_t mp_machine_reset_cause(void) {
    return 0;
}
