// What ports/qemu lacks on its boards: a start of their own program, time, sleep and noise.

#include <stdint.h>
#include <stdlib.h>

#include "py/mperrno.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "shared/runtime/pyexec.h"
#include "shared/runtime/semihosting_arm.h"

#define REG(address) (*(volatile uint32_t *)(address))

// Interrupts are enabled, but masked: one that is pending only ends a sleep.
#define NVIC_ISER0 REG(0xE000E100)
#define NVIC_ICPR0 REG(0xE000E280)

#if defined(QEMU_SOC_MPS2)

// FPGA I/O: a counter at 25 MHz.
#define COUNTER REG(0x40028018)
#define TICKS_PER_US (25)

// The processor's timer wakes it after 10 ms.
#define SYST_CSR REG(0xE000E010)
#define SYST_RVR REG(0xE000E014)
#define SYST_CVR REG(0xE000E018)
#define ICSR REG(0xE000ED04)
#define ICSR_PENDSTCLR (1 << 25)
#define TIMER_RELOAD (25000000 / 100 - 1)

#define UART1_INTSTATUS REG(0x4000500C)
#define UART_RX_INT (2)
#define UART1_RX_IRQ (1 << 2)

static uint32_t counter(void) {
    return COUNTER;
}

static void timer_init(void) {
    SYST_RVR = TIMER_RELOAD;
    SYST_CVR = 0;
    SYST_CSR = 7; // on, with interrupt, from the processor's clock
    NVIC_ISER0 = UART1_RX_IRQ;
}

// Sleep until a byte comes in or 10 ms have passed.
void board_idle(void) {
    __asm volatile ("wfi");
    UART1_INTSTATUS = UART_RX_INT;
    NVIC_ICPR0 = UART1_RX_IRQ;
    ICSR = ICSR_PENDSTCLR;
}

#elif defined(QEMU_SOC_NRF51)

// TIMER 0: a counter at 16 MHz, read by a capture into CC[0]; CC[1] wakes the processor.
#define TIMER(offset) REG(0x40008000 + (offset))
#define TICKS_PER_US (16)
#define IRQS (1 << 2 | 1 << 8) // UART 0, TIMER 0

static uint32_t counter(void) {
    TIMER(0x040) = 1;
    return TIMER(0x540);
}

static void timer_init(void) {
    TIMER(0x508) = 3; // 32 bits
    TIMER(0x510) = 0; // no prescaler
    TIMER(0x304) = 1 << 17; // interrupt at CC[1]
    TIMER(0x000) = 1; // start
    NVIC_ISER0 = IRQS;
}

// Sleep until a byte comes in or 10 ms have passed.
void board_idle(void) {
    TIMER(0x544) = counter() + TICKS_PER_US * 10000;
    __asm volatile ("wfi");
    TIMER(0x144) = 0;
    NVIC_ICPR0 = IRQS;
}

// Its only UART is the link, so what is printed goes to QEMU's console.
mp_uint_t __wrap_mp_hal_stdout_tx_strn(const char *str, size_t len) {
    mp_semihosting_tx_strn(str, len);
    return len;
}

#endif

static uint64_t ticks(void) {
    static uint32_t last, wraps;
    uint32_t now = counter();
    wraps += now < last; // once in 171 s or more, and nothing here sleeps that long
    last = now;
    return (uint64_t)wraps << 32 | now;
}

mp_uint_t mp_hal_ticks_us(void) {
    return ticks() / TICKS_PER_US;
}

mp_uint_t mp_hal_ticks_ms(void) {
    return ticks() / (TICKS_PER_US * 1000);
}

uint64_t mp_hal_time_ns(void) {
    return ticks() * 1000 / TICKS_PER_US;
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return ticks();
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t end = ticks() + (uint64_t)us * TICKS_PER_US;
    while (ticks() < end) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t end = ticks() + (uint64_t)ms * TICKS_PER_US * 1000;
    while (ticks() < end) {
        board_idle();
    }
}

static int semihosting(int number, const void *arguments) {
    register int r0 __asm__ ("r0") = number;
    register const void *r1 __asm__ ("r1") = arguments;
    __asm volatile ("bkpt 0xAB" : "+r" (r0) : "r" (r1) : "memory");
    return r0;
}

// The noise source is the file "noise" in the folder that QEMU runs in: a link to the host's
// generator, or a file of fixed bytes for a run that can be repeated.
void board_noise(unsigned char *buf, size_t n) {
    static int file = -1;
    if (file < 0) {
        const struct { const char *name; int mode, length; } path = { "noise", 1, 5 };
        file = semihosting(1, &path); // SYS_OPEN
    }
    const struct { int file; void *buf; size_t n; } read = { file, buf, n };
    if (file < 0 || semihosting(6, &read) != 0) { // SYS_READ, which returns what is missing
        mp_raise_OSError(MP_EIO);
    }
}

// Instead of a prompt: run the frozen main.py, then end QEMU with its status.
int __wrap_pyexec_friendly_repl(void) {
    __asm volatile ("cpsid i");
    timer_init();
    exit(pyexec_frozen_module("main.py", false) == 1 ? 0 : 1);
}
