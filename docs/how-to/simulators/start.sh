#!/usr/bin/env bash
# 模拟的两个学籍系统、省电子证照库与身份核验服务; Ctrl-C 结束全部。
# Two registries, the e-certificate library and the identity service, simulated; Ctrl-C ends all of them.
cd "$(dirname "$0")" || exit
trap 'kill $(jobs -p)' EXIT
registry() { exec python -m adapters.county_rest.simulator --region "$1" --port "$2" --token "$(cat token)" --decide-after 0; }
registry 370102 7102 &
registry 370202 7202 &
python -m adapters.identity.simulator --port 7301 --app-id exchange-hub --app-secret "$(cat app_secret)" &
python -m adapters.ecert_share.simulator --port 7401 --keys library --export-anchors anchors &
wait
