# Mount a node's root file system and run its first process; runs in the node's directory, in a mount namespace of its own,
# which takes the mount along when the node's last process ends. The result goes to the file `exit`; a shell that cannot
# write it ends with 28, ENOSPC, and says nothing: its standard error is the node's log.
#
# $1 source of the mount, by which the node's processes are found   $2 runtime   $3 container   $4 more mount options
# $5 `terminal` if the standard input is the other end of the terminal on the standard output   $6 option of the runtime
set -u
{ echo $$ >supervisor; } 2>/dev/null || exit 28
if [ "$5" = terminal ]; then
    exec 3<&0 <&1
    cat <&3 3<&- >>log 2>/dev/null & # not `<&0`: some shells give a command in the background /dev/null first
    exec 3<&-
fi
mount -t overlay -o "lowerdir=lower,upperdir=upper,workdir=work$4" "$1" root \
    && "$2" ${6:+"$6"} --root runtime --log runtime.log run --bundle . --pid-file pid "$3"
{ echo $? >exit.new; } 2>/dev/null || exit 28
mv exit.new exit
