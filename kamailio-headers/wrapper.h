/*
 * What `sec` takes from Kamailio's headers.
 *
 * build.rs runs bindgen over this file and compiles the `static inline` functions below with the
 * C compiler. They cover what only C can say: macros, inline functions, and structures whose
 * layout differs between releases and which Rust therefore never looks into.
 *
 * Read with the -D set of the installed Kamailio, so every layout is that of the host.
 */
#ifndef SEC_WRAPPER_H
#define SEC_WRAPPER_H

#define MOD_NAME "sec"

#include "core/action.h"
#include "core/cfg/cfg_struct.h"
#include "core/counters.h"
#include "core/dprint.h"
#include "core/fmsg.h"
#include "core/kemi.h"
#include "core/mod_fix.h"
#include "core/parser/msg_parser.h"
#include "core/parser/parse_addr_spec.h"
#include "core/parser/parse_from.h"
#include "core/parser/parse_to.h"
#include "core/pt.h"
#include "core/pvapi.h"
#include "core/pvar.h"
#include "core/receive.h"
#include "core/route.h"
#include "core/rpc.h"
#include "core/socket_info.h"
#include "core/sr_module.h"

/* Macros with a cast or a sizeof in them, as constants that bindgen can read. */
enum sec_constant {
	SEC_PARAM_STRING = PARAM_STRING | PARAM_USE_FUNC,
	SEC_PARAM_INT = PARAM_INT | PARAM_USE_FUNC,
	SEC_INTERFACE_VERSION = MODULE_INTERFACE_VER,
	SEC_PV_OTHER = PVT_OTHER,
	SEC_RPC_ARRAY = RET_ARRAY,
	SEC_ANY_ROUTE = ANY_ROUTE,
	SEC_EVENT_ROUTE = EVENT_ROUTE
};

/* One line to the core's log, as LM_ERR and its siblings write it. The text is never a format. */
static inline void sec_log(int level, const char *text, int length)
{
	LOG_FN(DEFAULT_FACILITY, level, "sec: ", "%.*s\n", length, text);
}

static inline int sec_log_enabled(int level)
{
	return is_printable(level);
}

/* With which level and facility this process logs lines of ours. */
static inline int sec_log_level(void)
{
	return get_debug_level(LOG_MNAME, LOG_MNAME_LEN);
}

static inline int sec_log_facility(void)
{
	return get_debug_facility(LOG_MNAME, LOG_MNAME_LEN);
}

/*
 * From now on with these. Both the configuration and what modules say of levels are out of reach of a
 * process that Kamailio does not know: their memory may be gone, and a lock would die with us.
 */
static inline void sec_log_keep(int level, int facility)
{
	set_module_debug_level_cb(NULL);
	set_module_debug_facility_cb(NULL);
	set_local_debug_level(level);
	set_local_debug_facility(facility);
}

static inline void sec_cfg_update(void)
{
	cfg_update();
}

/* The value of a parameter that fixup_spve_all prepared; 0 on success. */
static inline int sec_parameter(struct sip_msg *msg, char *parameter, str *value)
{
	return get_str_fparam(value, msg, (fparam_t *)parameter);
}

/* The place of an event route that has something in it; negative without one. */
static inline int sec_event_route(char *name)
{
	int place = route_lookup(&event_rt, name);

	return place >= 0 && event_rt.rlist[place] ? place : -1;
}

static inline void sec_event_route_run(int place, struct sip_msg *msg)
{
	run_top_route(event_rt.rlist[place], msg, NULL);
}

/* The inner name of a pseudo-variable, kept as a number. */
static inline void sec_pv_name_set(pv_spec_t *spec, int number)
{
	spec->pvp.pvn.type = PV_NAME_INTSTR;
	spec->pvp.pvn.u.isname.type = 0;
	spec->pvp.pvn.u.isname.name.n = number;
}

static inline int sec_pv_name(pv_param_t *parameter)
{
	return parameter->pvn.u.isname.name.n;
}

/* The sockets that the host listens on, one transport at a time. */
static inline struct socket_info *sec_sockets(int protocol)
{
	struct socket_info **list = get_sock_info_list(protocol);

	return list ? *list : NULL;
}

static inline struct socket_info *sec_socket_next(struct socket_info *socket)
{
	return socket->next;
}

static inline struct ip_addr *sec_socket_address(struct socket_info *socket)
{
	return &socket->address;
}

#endif
