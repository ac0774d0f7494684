// The port's part of the module time (extmod/modtime.c includes it): the clock starts at power-on.
static mp_obj_t mp_time_time_get(void) {
    return mp_obj_new_int_from_uint(mp_hal_ticks_ms() / 1000);
}
