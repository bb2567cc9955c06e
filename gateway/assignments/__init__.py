"""The domain: edits of a policy's assignments that lose nothing. docs/design.md §2 defines the words, §6 describes the rules.

service       a handler for each RPC: message -> edit or read     rows, edits, merge     sets of rows; edits merged into them;
pure writers       a writer for each policy that needs one             witness                a last check that no row is lost;
pure writer        the one task of a policy: rounds and the watch      memory, past_writes    what is known of a policy; pure
round         read, merge, record, write, read back               watch                  when to read the policy again; pure
documented    the same for the documented route                   refusals               which edit a refused set blames; pure
policy        what both share: ledger, looks, answers             routes, patience       which route; how long to wait lease
the right to write a policy                         pending, ends          a waiting edit; how a round ends upstream
requests to Graph for one policy                    pages                  Graph's lists, page by page drift         finds
changes by others when callers read           history                revisions as answers and as edits sweep         reads
policies that no caller reads                 page_tokens            the position in a list shared_reads  concurrent readers of
a policy share a read         remembered             a cache, bounded in time and memory display_names names of policies, groups
and filters               policy_filter          the filter of ListCompliancePolicies; pure policy_reads  reads of policies
themselves"""
