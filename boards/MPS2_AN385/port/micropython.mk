# Joined to MicroPython's ports/qemu by USER_C_MODULES: nothing of its source is edited.
SRC_USERMOD_C += $(USERMOD_DIR)/board.c
SRC_USERMOD_LIB_C += $(addprefix lib/mbedtls/library/, \
	aes.c constant_time.c platform.c platform_util.c sha256.c)
CFLAGS_USERMOD += -I$(TOP)/lib/mbedtls/include -I$(USERMOD_DIR)
LDFLAGS_USERMOD += -Wl,--wrap=pyexec_friendly_repl
ifeq ($(BOARD),MICROBIT)
LDFLAGS_USERMOD += -Wl,--wrap=mp_hal_stdout_tx_strn
endif
