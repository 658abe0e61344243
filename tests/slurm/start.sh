#!/usr/bin/env bash
# A real Slurm of one machine, for tests of what talks to Slurm: munged, slurmctld and slurmd, started as root
# without systemd, all their files in one folder, so that two of them live beside each other and beside a Slurm of
# the machine. There is no accounting: sacct knows nothing, as on clusters that keep none.
#
#   eval "$(tests/slurm/start.sh start)"         # a new folder under $TMPDIR; or: start.sh start FOLDER
#   sinfo; sbatch --wrap hostname
#   tests/slurm/start.sh stop                    # the Slurm of $SLURM_CONF; or: start.sh stop FOLDER
#
# Started again in the same folder, it starts what does not run and prints the same lines. Options of start:
#
#   --port N        slurmctld listens on N and slurmd on N+1; otherwise free ports derived from the folder
#   --cpus N        CPUs of the node, which need not be there; otherwise those of the machine
#   --gpus N        GPUs of the node, up to 4, which are not there either: jobs may ask for them and are told which of
#                   them are theirs; otherwise none
#   --plain-preemption   preempted jobs get SIGTERM only, not the signal of `sbatch --signal`
#
# Partitions: `main`, the default, and `low`, whose jobs are requeued after 5 seconds of grace when `main` needs
# their CPUs. Exit code 77, which test runners read as "skipped", means that this machine cannot run it.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin # a plain user's PATH lacks the daemons, and so do some containers' for root

MARK=.started-by-tests-slurm # names a folder as ours: stop removes no other

die() {
    echo "start.sh: $1" >&2
    exit "${2:-1}"
}

usage() {
    sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "$0"
}

# Whether the process of a pid file lives and is the daemon: after a crash its number may be another process's, and
# where process 1 collects no children, as in many containers, what has ended stays in /proc, but without exe.
alive() {
    local pid
    pid=$(cat "$folder/$1.pid" 2>/dev/null) && [[ $(readlink "/proc/$pid/exe") == */"$1"* ]]
}

not_alive() {
    ! alive "$1"
}

# wait_for SECONDS COMMAND...: whether it succeeds in time
wait_for() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < until)) || return 1
        sleep 0.2
    done
}

failed() {
    local log
    for log in munged slurmctld slurmd; do
        [[ ! -s $folder/$log.log ]] || tail -n 15 "$folder/$log.log" | sed "s/^/$log: /" >&2
    done
    stop
    die "$1"
}

port_is_free() {
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

write_conf() {
    local host cpus memory parameters="" devices
    host=$(uname -n)
    host=${host%%.*}
    # slurmd says what it will find; asking it spares a node that is drained because we counted otherwise.
    read -r cpus memory < <(slurmd -C | sed -n 's/.* CPUs=\([0-9]*\).* RealMemory=\([0-9]*\).*/\1 \2/p') || true
    [[ -n ${memory:-} ]] || failed "slurmd -C does not say what this machine has"
    cpus=${wanted_cpus:-$cpus}
    if [[ -z $port ]]; then
        # Below 32768, where the kernel takes ports of its own choosing from.
        port=$((20000 + $(cksum <<<"$folder" | cut -d' ' -f1) % 6000 * 2))
        until port_is_free "$port" && port_is_free $((port + 1)); do
            port=$((20000 + (port - 20000 + 2) % 12000))
        done
    fi
    # With it a preempted job gets the signal it asked for with --signal, which is what submitit requeues upon.
    ((plain_preemption)) || parameters="SlurmctldParameters=preempt_send_user_signal"
    # Slurm wants a device for each GPU, and sets CUDA_VISIBLE_DEVICES only then; any will do.
    devices=(/dev/null /dev/zero /dev/full /dev/random)
    ((gpus <= ${#devices[@]})) || failed "--gpus takes at most ${#devices[@]}"
    ((gpus == 0)) || printf 'Name=gpu File=%s\n' "${devices[@]:0:gpus}" >"$folder/gres.conf"
    cat >"$folder/slurm.conf" <<CONF
ClusterName=tests
# The address stands beside the name, for the name of a container often resolves to nothing.
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A requeued job stays pending until its credential has expired; the default is 120 seconds, the least 5.
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
MailProg=/bin/true

# What works without control groups, which a container does not lend.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
MpiDefault=none

SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=1
PriorityType=priority/basic
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
$parameters
JobRequeue=1

OverTimeLimit=0
KillWait=3
SlurmctldTimeout=30
SlurmdTimeout=30
# Seconds for which squeue and scontrol still know a job that has ended.
MinJobAge=10
MaxArraySize=1001
MaxJobCount=5000
ReturnToService=2
# The node has what is said here, whatever slurmd finds, and is not drained over the difference.
SlurmdParameters=config_overrides

NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory Gres=gpu:$gpus State=UNKNOWN
PartitionName=main Nodes=node1 Default=YES PriorityTier=10 PreemptMode=OFF DefaultTime=10 MaxTime=60 State=UP
PartitionName=low Nodes=node1 PriorityTier=1 PreemptMode=REQUEUE GraceTime=5 DefaultTime=10 MaxTime=60 State=UP
CONF
}

start() {
    local program
    for program in munged slurmctld slurmd sinfo; do
        command -v "$program" >/dev/null || die "$program is not installed (Debian: slurm-wlm and munge)" 77
    done
    ((EUID == 0)) || die "only root can start munged, slurmctld and slurmd" 77
    [[ -n $folder ]] || folder=$(mktemp -d "${TMPDIR:-/tmp}/slurm.XXXXXX")
    mkdir -p "$folder"
    folder=$(realpath "$folder")
    # The longest socket is spool/node1_<job>.<step>, both of up to ten digits; Linux takes 107 characters.
    ((${#folder} <= 70)) || die "$folder is too long a name: sockets lie in it"
    [[ $folder != *[[:space:],]* ]] || die "$folder has a space or a comma in it, which slurm.conf cannot hold"
    if [[ ! -e $folder/$MARK ]]; then
        [[ -z $(ls -A "$folder") ]] || die "$folder is not empty, and what it holds is not a Slurm of this script"
        chmod 711 "$folder" # munged refuses a socket that not everyone can reach
        touch "$folder/$MARK"
        mkdir "$folder/state" "$folder/spool"
        (umask 077 && head -c 1024 /dev/urandom >"$folder/munge.key")
        write_conf
    fi
    export SLURM_CONF=$folder/slurm.conf
    # Slurm's commands take options from variables such as SBATCH_PARTITION; the daemons give theirs to every job.
    unset "${!SLURM_J@}" "${!SBATCH_@}"

    # None of them may hold our standard output: who reads the lines below would wait for its end.
    if ! alive munged; then
        munged --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munged.pid" \
            --log-file="$folder/munged.log" --seed-file="$folder/munged.seed" >"$folder/out" 2>&1 </dev/null ||
            failed "munged does not start: $(cat "$folder/out")"
    fi
    wait_for 10 munge --socket="$folder/munge.socket" --no-input || failed "munged does not answer"
    for program in slurmctld slurmd; do
        alive "$program" || "$program" >"$folder/out" 2>&1 </dev/null ||
            failed "$program does not start: $(cat "$folder/out")"
    done
    wait_for 30 node_is_up || failed "the node does not come up: $(sinfo --noheader --long --Node 2>&1)"
    echo "export SLURM_CONF=$SLURM_CONF"
}

node_is_up() {
    [[ $(sinfo --noheader --Node --format=%t --partition=main) =~ ^(idle|mix|alloc)$ ]]
}

# end SECONDS NAME: by its pid file, gently for some seconds
end() {
    local pid
    pid=$(cat "$folder/$2.pid" 2>/dev/null) || return 0 # a daemon that ends removes its pid file
    alive "$2" || return 0
    kill "$pid" 2>/dev/null || true
    wait_for "$1" not_alive "$2" || kill -9 "$pid" 2>/dev/null || true
}

no_jobs() {
    [[ -z $(squeue --noheader --states=running,completing,suspended) ]]
}

# Processes of our jobs: those that were started with our slurm.conf inside a job, and those that write slurmd's
# log, which are slurmstepd. (A shell or a test that talks to this Slurm has the first but no job.)
of_jobs() {
    local process
    for process in /proc/[0-9]*; do
        if { tr '\0' '\n' <"$process/environ" | grep -cxE "SLURM_CONF=$folder/slurm.conf|SLURM_JOB_ID=.*" |
            grep -qx 2; } 2>/dev/null ||
            find "$process/fd" -lname "$folder/slurmd.log" 2>/dev/null | grep -q .; then
            echo "${process#/proc/}"
        fi
    done
}

stop() {
    [[ -n $folder || -z ${SLURM_CONF:-} ]] || folder=$(dirname "$SLURM_CONF")
    [[ -n $folder ]] || die "say which folder to stop, or set SLURM_CONF"
    [[ -e $folder ]] || return 0 # stopped before
    folder=$(realpath "$folder")
    [[ -e $folder/$MARK ]] || die "$folder holds no Slurm of this script"
    export SLURM_CONF=$folder/slurm.conf
    if alive slurmctld; then
        # Pending ones first, or they would start when the running ones end.
        timeout 10 scancel --user=root --state=pending >/dev/null 2>&1 || true
        timeout 10 scancel --user=root >/dev/null 2>&1 || true
        wait_for 15 no_jobs || true
    fi
    end 10 slurmctld
    end 10 slurmd
    end 10 munged
    local pid
    for pid in $(of_jobs); do
        kill -9 "$pid" 2>/dev/null || true
    done
    rm -rf "$folder"
}

command=${1:-help}
shift || true
folder="" port="" wanted_cpus="" gpus=0 plain_preemption=0
while (($#)); do
    case $1 in
    --port | --cpus | --gpus)
        [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "$1 takes a number"
        case $1 in
        --port) port=$2 ;;
        --cpus) wanted_cpus=$2 ;;
        --gpus) gpus=$2 ;;
        esac
        shift
        ;;
    --plain-preemption) plain_preemption=1 ;;
    -*) die "no option $1: see start.sh help" ;;
    *) folder=$1 ;;
    esac
    shift
done

case $command in
start) start ;;
stop) stop ;;
help | --help | -h) usage ;;
*) die "start, stop or help, not $command" ;;
esac
