// A plugin of QEMU's: cuts the power at an exact point of the path that writes the chain, or counts
// where a board spends its instructions. QEMU's interface is declared here, for Debian ships none.
//
//   stores=N      end right after the Nth store into the chain's slots (0: never)
//   after=N       end N instructions after the first of those stores
//   trace=FILE    write each store as "instructions address size", and "sent" at the first byte
//                 that leaves UART 1 afterwards
//   profile=FILE  at each change of the board's LEDs, write what ran since the last one as
//                 "address executed" lines and an empty line

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef API
#define API 1 // 1 for QEMU 7.2, 2 for QEMU 10
#endif

struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { NO_REGS = 0, READ = 1, WRITE = 2 };
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
unsigned qemu_plugin_mem_size_shift(uint32_t);
bool qemu_plugin_mem_is_store(uint32_t);
void qemu_plugin_register_vcpu_tb_trans_cb(
    uint64_t, void (*)(uint64_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(
    struct qemu_plugin_insn *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_vcpu_mem_cb(
    struct qemu_plugin_insn *, void (*)(unsigned, uint32_t, uint64_t, void *), int, int, void *);

#define SLOTS 0x21000000u
#define SLOTS_END 0x21000200u
#define UART1_DATA 0x40005000u
#define LEDS 0x40028000u
#define CODE (1 << 20)

__attribute__((visibility("default"))) int qemu_plugin_version = API;

static uint64_t stores, stop_stores, stop_after, executed;
static bool path; // between the first store and the first byte that is sent after it
static FILE *trace, *profile;
static uint32_t counts[CODE / 2];

static void cut(void) {
    if (trace) {
        fclose(trace);
    }
    _exit(99);
}

static void on_instruction(unsigned cpu, void *address) {
    counts[(uintptr_t)address % CODE / 2]++;
    if (path && ++executed == stop_after) {
        cut();
    }
}

static void on_memory(unsigned cpu, uint32_t info, uint64_t address, void *unused) {
    bool store = qemu_plugin_mem_is_store(info);
    if (store && address >= SLOTS && address < SLOTS_END) {
        stores++;
        path = true;
        if (trace) {
            fprintf(trace, "%" PRIu64 " %" PRIu64 " %u\n",
                executed, address - SLOTS, 1 << qemu_plugin_mem_size_shift(info));
        }
        if (stores == stop_stores) {
            cut();
        }
    } else if (store && address == UART1_DATA && path) {
        path = false;
        if (trace) {
            fprintf(trace, "%" PRIu64 " sent\n", executed);
            fflush(trace);
        }
    } else if (store && address == LEDS && profile) {
        for (uint32_t i = 0; i < CODE / 2; i++) {
            if (counts[i]) {
                fprintf(profile, "%x %u\n", 2 * i, counts[i]);
            }
        }
        fputs("\n", profile);
        fflush(profile);
        memset(counts, 0, sizeof counts);
    }
}

static void on_translation(uint64_t id, struct qemu_plugin_tb *tb) {
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *each = qemu_plugin_tb_get_insn(tb, i);
        void *address = (void *)(uintptr_t)qemu_plugin_insn_vaddr(each);
        qemu_plugin_register_vcpu_insn_exec_cb(each, on_instruction, NO_REGS, address);
        qemu_plugin_register_vcpu_mem_cb(each, on_memory, NO_REGS, READ | WRITE, NULL);
    }
}

__attribute__((visibility("default")))
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value++) {
            return 1;
        } else if (!strncmp(argv[i], "stores=", 7)) {
            stop_stores = strtoull(value, NULL, 10);
        } else if (!strncmp(argv[i], "after=", 6)) {
            stop_after = strtoull(value, NULL, 10);
        } else if (!strncmp(argv[i], "trace=", 6)) {
            trace = fopen(value, "w");
        } else if (!strncmp(argv[i], "profile=", 8)) {
            profile = fopen(value, "w");
        } else {
            return 1;
        }
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
