# SPDX-License-Identifier: Apache-2.0
# Completion of vmctl for fish: what can stand at a place is asked of vmctl itself.

function __vmctl_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l offered ($words[1] __complete $words[2..-1] 2>/dev/null)
    # After what ends in a colon, fish leaves no space by itself.
    string match -v :files -- $offered
    if contains -- :files $offered
        __fish_complete_path (string replace -r '^--[^=]*=' '' -- $words[-1])
    end
end

complete -c vmctl -f -a '(__vmctl_complete)'
