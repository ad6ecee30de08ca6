# Made-up graphics cards: a folder with the parts of /sys and /proc that rbee-gpu looks at. A suite sets
# GPU_ROOT; gpu_tree_init makes it, and rbeed of the hooks build looks there (RBEE_TEST_GPU_ROOT).

gpu_tree_init() {
    mkdir -p "$GPU_ROOT"/{sys/class/drm,sys/module,sys/devices,proc}
    export RBEE_TEST_GPU_ROOT=$GPU_ROOT
}

# The folder of the card at PCI address $1.
gpu_folder() {
    echo "$GPU_ROOT/sys/devices/$1"
}

# put FOLDER NAME TEXT: one file, as the kernel's are.
put() {
    mkdir -p "$(dirname "$1/$2")"
    printf '%s\n' "$3" >"$1/$2"
}

# A card of AMD's that tells everything: amd_card NUMBER PCI
amd_card() {
    local folder
    folder=$(gpu_folder "$2")
    mkdir -p "$GPU_ROOT/sys/module/amdgpu" "$GPU_ROOT/sys/class/drm/card$1" "$folder"
    ln -s "../../../devices/$2" "$GPU_ROOT/sys/class/drm/card$1/device"
    ln -s ../../bus/pci/drivers/amdgpu "$folder/driver"
    mkdir -p "$GPU_ROOT/sys/class/drm/card$1-DP-1"
    put "$folder" power/runtime_status active
    put "$folder" power/control auto
    put "$folder" vendor 0x1002
    put "$folder" device 0x744c
    put "$folder" revision 0xc8
    put "$folder" product_name "Radeon Made Up $1"
    put "$folder" current_link_speed '16.0 GT/s PCIe'
    put "$folder" current_link_width 16
    put "$folder" gpu_busy_percent 37
    put "$folder" mem_info_vram_used $((4 << 30))
    put "$folder" mem_info_vram_total $((24 << 30))
    put "$folder" mem_info_gtt_used $((64 << 20))
    put "$folder" mem_info_gtt_total $((16 << 30))
    put "$folder" pp_dpm_sclk $'0: 500Mhz\n1: 2304Mhz *'
    put "$folder" pp_dpm_mclk $'0: 96Mhz\n1: 1249Mhz *'
    amd_sensors "$folder/hwmon/hwmon$1"
}

amd_sensors() { # FOLDER
    put "$1" name amdgpu
    put "$1" temp1_label edge
    put "$1" temp1_input 54000
    put "$1" temp2_label junction
    put "$1" temp2_input 71500
    put "$1" temp3_label mem
    put "$1" temp3_input 80000
    put "$1" power1_average 123456000
    put "$1" power1_cap 315000000
    put "$1" fan1_input 1234
    put "$1" pwm1 102
    put "$1" freq1_label sclk
    put "$1" freq1_input 2304000000
}

# A process with the card open: gpu_process PID GROUP COMMAND, its fdinfo on stdin.
gpu_process() {
    local folder=$GPU_ROOT/proc/$1
    mkdir -p "$folder"/{fd,fdinfo}
    ln -sf /dev/dri/renderD128 "$folder/fd/7"
    ln -sf /dev/null "$folder/fd/0"
    cat >"$folder/fdinfo/7"
    put "$folder" comm "$3"
    put "$folder" stat "$1 ($3) S 1 $2 $2 0"
}

# What the kernel tells of one opening: gpu_client PCI ID MIB
gpu_client() {
    printf 'pos:\t0\nflags:\t02100002\ndrm-driver:\tamdgpu\ndrm-pdev:\t%s\ndrm-client-id:\t%s\n' "$1" "$2"
    printf 'drm-memory-vram:\t%d KiB\ndrm-memory-gtt:\t12 KiB\n' $(($3 << 10))
}
