"""The domain: edits of a policy's assignments that lose nothing (docs/design.md §6).

service      a handler per RPC: message -> edit or read         rows, edits, witness   sets of rows, and edits merged; pure
writers      a writer for each policy that needs one            memory, past_writes    what is known of a policy; pure
writer       the one task of a policy: rounds, and the watch    watch                  when to look again; pure
round        look, merge, write down, write, look back          refusals               whom to blame for a refused set; pure
drift        what others changed where nobody writes            history                revisions, told and turned into edits
sweep        reads that find it where nobody reads              page_tokens            where a list goes on
documented   the same for the documented route                  routes, patience       which route; how long to wait
policy       what both share: ledger, looks, answers            upstream               what Graph is asked
lease        the right to write a policy                        pending, ends          an edit; what a round comes to
shared_reads readers of one policy share what Graph is asked    pages                  Graph's lists, page by page
display_names what ids are called                             remembered             for some time, in bounded memory
policy_reads policies themselves, told                          policy_filter          which of them are meant; pure
"""
