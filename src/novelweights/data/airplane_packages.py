"""The models of real airplanes that are taken from packages of Debian, pinned by their content.

CRRCSim's and GL-117's were chosen by eye: of models of one shape, other colors and other versions
of one type, one is taken. FlightGear's were chosen by name: one model of each type, so that
versions of one type that differ in length stand side by side; no balloons, ships, shuttles or loose
parts. The packages are under the GPL, hence fetched and never part of this project;
`shapes/real_airplanes.py` reads them.
"""

from pathlib import Path

from novelweights.data.packages import APT, PackageSource

CRRCSIM, GL_117, FLIGHTGEAR = "crrcsim-airplanes", "gl-117-airplanes", "flightgear-airplanes"

AIRPLANE_PACKAGES: dict[str, PackageSource] = {
    CRRCSIM: PackageSource(
        client=APT,
        package="crrcsim-data",
        folder="usr/share/games/crrcsim/objects",
        sha256={
            "Angel_S30E.ac": ("d9368bab7a2c25f4e5a6602f98d47c9e35803e026fd8341e1d49427230a9cbc5"),
            "Crossfire.ac": ("f580b7d2b1d1755b1d4b0f68d4cef465af5f5088c2c61de7b3a4fe1a9179b8cc"),
            "Erwin.ac": ("835e81f7383d08a91b3073dc30eac128ea7ca38bf64bd9b31b7333343ce1a43b"),
            "Fireworks_C.ac": ("3cae6efa2b961f6e5ff8d4e4e6ae88d55c4014456a269ebea67db11b1a09e92c"),
            "PilatusB4.ac": ("57be3c950efb655d3f2d465556e73958a2935c3765755b1b37c9b19d9259bd40"),
            "Skorpion.ac": ("02bbea405f2ecf726a543ec0bd56fda497bff884edf23a1e95511689c2cec353"),
            "allegro.ac": ("72b63fbce45e4627c4bddaf7b142b875423d7c5cc092c7b73ee6ed199674a2a1"),
            "apogee.ac": ("bf68121f86e0b5c946198d2c6b97a9d5ba412cb415b4d4fc93d091b9a9f9f92a"),
            "biplane2.ac": ("e803731f13fb758bc25f52818100b205995ed01ab0da4f361725b3e92a055b83"),
            "flexifly_xlm.ac": ("5ecedc7c0463aeaae35928de10732971333e392bac116c061a6ffa99ea7bad5f"),
            "gap65.ac": ("cc3adbce3681bbab1cba31bb59719e482894bb5a7450083fb0139356f22a57bf"),
            "k2.ac": ("bba19f7fc6422f3048d3bad8a7b390d586b8eb0e151a179d45956852543787e9"),
            "mav.ac": ("8d5a5b0c810dcb6898a87d06dca35809c476eaa3fce503047e2f5c87eb39b78b"),
            "melyan_01.ac": ("e3e93e7f2fb30ed95c34cbeb05c72fb2d4fb69223834b9504f755fa3910e85ff"),
            "outrage.ac": ("91341e7d9c97bb153661a4051bdd0c9b5b1cca69794324b49470cff2d8bf976b"),
            "quickie01.ac": ("5ee4b9a153a7df05138c5b1fc86cca0a4d3307311b3bb7a3af151bd7aad59aca"),
            "sovereign.ac": ("f9754668a5314c49489289d278f7b1bd759a9fa234a807d91c2e3688824b9764"),
            "sport.ac": ("79077909b21da02f6549f3e7e90aeaf4d07101f27500c83a47bc344644ffd3be"),
            "supra.ac": ("c1ecc0da24353e32e387f144a2844897ab8fc89e06ff441b8c071254093e4967"),
            "wasabi_wr.ac": ("8ed765580d603bc64dc61e36a13ea88cdc0720945deeeeb7ad5e16b71bd89f94"),
            "zagi.ac": ("530fde4530d51e3e715a94c333e201bfa2c04a80f514a09fa57ddda4851c7a36"),
            "zipper.ac": ("1ce171c72ddb792c998a2a68641e75ab83e4fa573c4788b19b5fbd387aa1c428"),
        },
        max_bytes=60_000_000,
        installed=Path("/usr/share/games/crrcsim/objects"),
    ),
    GL_117: PackageSource(
        client=APT,
        package="gl-117-data",
        folder="usr/share/games/gl-117/models",
        sha256={
            "gl-14.3ds": ("fe987410ba55717f974579c45879a3b0a1e39f33c6098bb1b3f592e73a0a0ac2"),
            "gl-14b.3ds": ("ad575e99515380ab6af87328457ddd8790ed65a956bc518bb27ac75f9c0ac4d5"),
            "gl-14c.3ds": ("2f1a6dcd351c5ed8fb43a4377d11610b6fd2aa32e35ee382666f0f3a4d409601"),
            "gl-15.3ds": ("2a0c8bf5d267ebaadf41b400462c7e06b06da3fc04ee2688ad9510c9ba679822"),
            "gl-16.3ds": ("edd8c704bc118878c7f1d5464c80e9d3cd4cbc7a7f1b2a42a4ac07cb775f135b"),
            "gl-21.3ds": ("ceae651e84f538aa602043b6adf3c2a170e8d33705084e2fe89da177ab173de7"),
            "gl-21b.3ds": ("46887bf8fcef096a4ce46adb0149356c92ec65484a926c3de5856a11b3bf3b64"),
            "gl-29.3ds": ("c2a63d6e2fd5ce2719337cb85a53d4bd81aa297aa5f3f4eefec4f97b186f6600"),
            "gl-50.3ds": ("fb5f6f0ec57cebbcc3968e5f7b9da1bb60680e9aa776a5a2593df969e1d96433"),
            "transp1.3ds": ("1649538f5e3627780494f19be6289f943d08908b3d4758eed3234518963883b5"),
            "transp4.3ds": ("f0bac53553cd45d0ee874b141a0534f6de9cc01ad303ef2c2a4a244134ac8b3a"),
        },
        max_bytes=30_000_000,
        installed=Path("/usr/share/games/gl-117/models"),
    ),
    FLIGHTGEAR: PackageSource(
        client=APT,
        package="flightgear-data-ai",
        folder="usr/share/games/flightgear/AI/Aircraft",
        sha256={
            "220/Models/223.ac": (
                "f4331c4aaf5f08d40a0214e03d1888dc99c9da62e936ebb1fa66ed35a2a679a8"
            ),
            "339/Models/339.ac": (
                "5e03a8cf679698a86e3e956afec950a3d9cdf448db03bafb050689ed97790dee"
            ),
            "717/Models/717.ac": (
                "f35cc2d69bb58b19d4c1decdfc0fde0aad75aa013287b562ec65c4370db90131"
            ),
            "727/Models/727-200.ac": (
                "3a8add304cda6361060f70c490e4c79b0cc7872ee1319ce39a2f47805da73607"
            ),
            "733/Models/733.ac": (
                "cc1db95d4c5b6d27ba5f44dffa07281d36627dc1114d9442ffc7e8f44041ed46"
            ),
            "734/Models/73P.ac": (
                "022b318b54d0a70f37bbd7ebe800f11e5d973dd8775c5aca82624e21492ae065"
            ),
            "735/Models/735.ac": (
                "a43220be651dd3b327a39ec1e5007164825b3a76ab6a930f8cab8c91063578e8"
            ),
            "736/Models/736.ac": (
                "c0f05c82570e1b92f0433ac282573d03a01b6549195bb13828f6a02e06e13060"
            ),
            "738/Models/737-800.ac": (
                "dd12ebc52dab4ee563c8c11cf662e57aa63ecd49fb4e8d36a8589dbaa41d954f"
            ),
            "739/Models/73J.ac": (
                "c67c1854f923c73bd74bb86d15ee130c8920d72f490cffd784eee89bfae4b545"
            ),
            "747/Models/744.ac": (
                "be1757cc31a5b5b1eb88f058698cb6ff7fbd63ac6f2374c8049756943515407c"
            ),
            "757/Models/757-200.ac": (
                "f5a1989be3f9ac0b41acc8b25359db02e94a68928cf135ae3f6ef38e12c16742"
            ),
            "757/Models/757-300.ac": (
                "04dc98957095922412d181988c71778887b7c59e195d5609d4b9259e35b6d473"
            ),
            "767/Models/763.ac": (
                "006ef0e22f1d0ce44473c7813e33a2c72b465a2b170615b58c0b70bc68e3a6d2"
            ),
            "777/Models/77L.ac": (
                "b7b93a1133e2d91e5e35202480706094860d8fa52f261dc8cceba95a5a087faf"
            ),
            "777/Models/77W.ac": (
                "9985afec78e9b27daa00b11b13fe2f5547de1b7a4852b52cfb2e926f57754ade"
            ),
            "787/Models/788.ac": (
                "9fb49ee52b24f0eac0d4ed4ce8daa511355d6f808dec0f1ec966948cc4211772"
            ),
            "787/Models/789.ac": (
                "4d1cc037e281dd4a7f459b8a896dd2d77a7891dfa369a46c305a0637c799c983"
            ),
            "A300/Models/A300.ac": (
                "77991f848e6339efabc8f7aa853dee44ceaf603a2d06aac66d71d6639bcab39f"
            ),
            "A310/Models/A310.ac": (
                "f965f42a0f7430c6cdfdf14b771b753385a2a180b04b0d78ef5156eed272e418"
            ),
            "A319/Models/A319.ac": (
                "cac4a6c92debd639d45f0a11c1c40b18afcb856001b55146ee7525cec7510d56"
            ),
            "A320/Models/A320.ac": (
                "4b56f7e46894189650dee83763f276b6d84f5331f892843fb948b4c9a6cf5714"
            ),
            "A321/Models/A321.ac": (
                "1b730d2bcb54800193b336f5c85475ea2c38185de128dec777c5129b3e806319"
            ),
            "A330-MRTT/Models/A330-MRTT.ac": (
                "73f14807164493441c4f190a42bfbacb0a813d0e01e3e8ad09ff26836e3c057d"
            ),
            "A332/Models/A332.ac": (
                "d2614a1a0595c500102cca0c490dc0f07254012c485d5f10bfd7ab2efb094df6"
            ),
            "A333/Models/A333.ac": (
                "0ad3c0377413de3add9aa4202798dcb81a155d07506908f53a9da1ae402b7a62"
            ),
            "A342/Models/A342.ac": (
                "83b5cb0239a162fc6298713a91c687188d22a0ab65b292090d84d616de4e59b6"
            ),
            "A343/Models/A343.ac": (
                "e45ade2af4a3cd6e8cf0121d75f63d7764adfc85a2d8c0683dfca96956931af3"
            ),
            "A345/Models/A345.ac": (
                "9e748ff59fd11f63d2a28a781a477d4ab4ef248bdcc93626e8794f01030bf4e6"
            ),
            "A346/Models/A346.ac": (
                "ef0cd8f039fa62f1ba85e3ce1508e747e0c22bdef3a6abf685f4ffd6d1d9b56f"
            ),
            "A350/Models/359.ac": (
                "2d8e40ad76dfcbb7ca0c2153a50f75eb3beda84f3601dfb21cea921a9ed88bc8"
            ),
            "A380/Models/388.ac": (
                "78735ab4ac0df0986c7c262d6237b5b55427b098a87c9362c96efaf545c6ef47"
            ),
            "A6M2/Models/a6m2.ac": (
                "4eb59d43af70a492734a6959844958ce481737c4e4710ed7e22329029dd466b3"
            ),
            "AT4/Models/AT4.ac": (
                "d218196556773b85a7c15264f8d88d5aaf26af795938934d549a2170a20ef0d9"
            ),
            "AT7/Models/AT7.ac": (
                "eabe83aeef3790446339de1eb953a5fa58aff120322b8e9d8d32353667897200"
            ),
            "Arup-S2/Models/arup-s2.ac": (
                "41f4410b82ae49dd9e5d56d9980ce60000a62844ec04cffd001b83169c0565b7"
            ),
            "BAE146-300/Models/BAE146-300.ac": (
                "c2d244a3b7a92689459b4df22bfcc6882cd602a60d7ead4ffbc2c2fbd9953b30"
            ),
            "BAe-125/Models/bae125.ac": (
                "1d8ebf1efb2f116523ebbb5d3721eb06e30e3eaa4959280d878c510f37b714aa"
            ),
            "BNI/Models/BNI.ac": (
                "7aba05c2db1a6c5707dbfd0b75d9ac35ada438f08ae3b5384c204fc3c5d4b1a2"
            ),
            "Bae146-200/Models/bae146-200.ac": (
                "cd1a4780fe8e83838eee71a4f70834ec7884bfd580c1b1318b5b061ad48e079f"
            ),
            "Beechcraft-Staggerwing/Models/model17.ac": (
                "c59190983f8e42530ab3af3f607e6c282f4fd844e81ed94f84178162a3e4c384"
            ),
            "Bombardier-Challenger/Models/chal604.ac": (
                "bd044ccccaf2581fe6d84a82b8e259d369e0c712d7374cf71c30729d654ae0b3"
            ),
            "Buccaneer/Models/buccaneer-low-poly.ac": (
                "ab8d59e6c91ba926cfe2bbcf6af5687700edffeb2186071ef06f943f1063db13"
            ),
            "CR2/Models/CR2.ac": (
                "6ed8ba3ab919aa6e2d7cfae319de971dadca89229d874c16b58e498582a81886"
            ),
            "CR7/Models/CR7.ac": (
                "96bb4519b61437e01801afe07bd79ab219f2745c02c2ad3fc8846568c3deb42a"
            ),
            "CR9/Models/CR9.ac": (
                "3d8692603e17cc49b6f35b5b4aaaac800c95522e491df20513ce63ad5d3c68f5"
            ),
            "Cessna-421-Golden-Eagle/Models/c421.ac": (
                "dcbea482bc6131be2e8003184a2c80cc98745016389f69fe1fd7a1194567329f"
            ),
            "Cessna208Caravan/Models/caravan.ac": (
                "673b841d1c281e050220c615bef9ffa8bd610c5ead74d44e350166565998f9ab"
            ),
            "Cessna337/Models/Cessna337_SkymasterN53472.ac": (
                "251465bf87fcc94acfe49d2e3eab7005c66dc1a74bf4469eaa704ef450bd03ad"
            ),
            "Citation-Bravo/Models/bravo.ac": (
                "d54abf94ccbe1b787c552c323fac256f06150e214a02a2f8c610bae52d158f30"
            ),
            "Cub/Models/Cub.ac": (
                "119b96184f1bee40565a2b86312fd1e4bad6cfa041309ebb6d9fdcd457369145"
            ),
            "DH3/Models/DH3.ac": (
                "847bd745e6ae26beb78cde88a6e1b1aa793b4145065b852ff886eefbc2ab7007"
            ),
            "DH4/Models/DH4.ac": (
                "e27ee2ae20743ff7be0c87a61483a3ee474beff92a447e3d82ab8e7a27cf1eed"
            ),
            "DH7/Models/dh7.ac": (
                "d7362f18ad45a612f0bed1bd9f47e5401b72657e5d4d548b768ab5de43df19aa"
            ),
            "DH82/Models/DH82.ac": (
                "b0ffd78699ebc1bf0d6cc6bbeb430aaac67a7b51ecd92a77bcdbd5558bf0049d"
            ),
            "DHT/Models/DHT.ac": (
                "02d897eb15bb27fde1bea4411993c48bc5ee726f44c96ddd481c55524246a732"
            ),
            "DR400/Models/dr400.ac": (
                "2c979e590883cfac3288f2cc434a76899934d514b0ecd0f8e8b50ee92432dbe6"
            ),
            "Diamond-Da42/Models/da42.ac": (
                "e36bb0abf8bb4adfefed160fed4b07004eca4eb24d8677a76f0cee24f90b0f81"
            ),
            "Dragonfly/Models/Dragonfly.ac": (
                "47774ddd20b036146bfc8781f2e8c74f74fb598dfa047e738579fe3ff527cb23"
            ),
            "Dromader/Models/M18B_Dromader.ac": (
                "8fa1cd6b671d807babce084c4c4ea7ccc813c72eb835f9307e30ec675db3c289"
            ),
            "E-2C/Models/E-2C-model.ac": (
                "7acdec5efc0bfbc074ff1f8f8fce66134072acdae442f46b50bdc4cdb4451a52"
            ),
            "E70/Models/ERJ170.ac": (
                "81c4784eb409fe7ce2a41017110d516e6b9696b4da0fb3b35b2bb0d1a262c29b"
            ),
            "E70/Models/ERJ175.ac": (
                "e4ab317a045bd97ab9957e69c6f26821498c5218ec4f62bb2f8acff4d245b4db"
            ),
            "E90/Models/E90.ac": (
                "bd8e8f88ad88ac4f033fabfc8f9e10b4fae7f51c6e8c6141b572182e3ec00d7d"
            ),
            "E95/Models/E95.ac": (
                "758caa34aa5f31960ff0238be931d7fa4b9a5e97889b525a891e22e896d37a63"
            ),
            "ERJ145/Models/ERJ-145.ac": (
                "28f105ab28962ea92fcb305fbdb42eab8ae73c1577b3ad5d47a02cbe6bcea2e3"
            ),
            "Embraer-Legacy/Models/legacy.ac": (
                "dcbe42e4428f2af4754458680410f2ae9f9ebcf1eb4218ffd8719d57f167b6ac"
            ),
            "F-15/Models/F-15-lowpoly.ac": (
                "a539ec870704a2cf96b695330dd86a2b54f706051c0197fd536862c9dbd4bc71"
            ),
            "F-18/Models/F-18-model.ac": (
                "86ae1cda6d06b95f178a38f30a369d79b845a35084beff0481fee31cb35c751e"
            ),
            "F-4/F-4_lowpoly.ac": (
                "f4422c0d640c61fdb98dd194a6e004d447f02d951e300d0f2ca6bcad6e81ffd7"
            ),
            "FK9MK2/Models/fk9mk2.ac": (
                "a3a01794a53f851807f4b19aee2fec0cd2d44f931b2ace7eaeb3b297dcba2521"
            ),
            "Fokker-100/Models/fokker100.ac": (
                "209ae8effb74bd6b8fa8d3442fd96f0c733c8d01d7ce3fabcf5e20affc903135"
            ),
            "Fokker-50/Models/fokker50.ac": (
                "622238dd7eab97ad7d1d1ba181d8b5bf6e7967fcb0dadce069ae2a1e565e16f7"
            ),
            "Fokker-70/Models/fokker70.ac": (
                "8f4b10b222e612ff87be574774831760a658b2f7a456f62a3d424b3a69c20c6c"
            ),
            "Fokker-S-11/Models/s11.ac": (
                "65f8788a28fd8e2a462e687d8c670dce3c9bce8fc106959ce184466cc6ca531b"
            ),
            "G-164/Models/G-164A.ac": (
                "a4745e469c582206fa6b8f6beac88aa9d536aaa5aa09a57fde1baca8ce3022e1"
            ),
            "JA37/Models/JA-37-lowpoly.ac": (
                "eaa2036202f5eb6c0045530c291e11c3c8b6c1819a00a0bab8e26e3265f592b5"
            ),
            "JS41/Models/JS41.ac": (
                "211205b607c8d49bbf765e947bf3bc02cbaa6d0885af449dd90ff71e506f5e7e"
            ),
            "Jaguar-GR1/jaguar-gr1-low.ac": (
                "ac983218f71c460f1eeb32a5fe92aa86ac445d5eef47a4f277fe8a83927fa6db"
            ),
            "Lightning/Models/lightning-f1a.ac": (
                "31beb1372f0d83b997a0e26c8633c2959ee036f142c796cfea9ca4c8ecfebdeb"
            ),
            "M11/Models/M1F.ac": (
                "54c97acc72b6d1ff160c7a6768b69439a60cfddbca053c0acc2b0879422958c3"
            ),
            "MD80/Models/md-80.ac": (
                "65fbf23157aa86c9ab07cd2078dbf162aa7e6b6a5fe2cda7657e933d53642cea"
            ),
            "MD90/Models/md-90.ac": (
                "47f296d9639f86b4e6b13e5fd601be8c70689f27a9166014ae0726c07ee08dab"
            ),
            "MiG-21bis/Models/MiG-21bis-lowpoly.ac": (
                "429f0829ac296b6bf11856f053d2bebbb393fa78705ab0fd6172c4e9631cf0e7"
            ),
            "Mirage2000/m2000-5_lowpoly.ac": (
                "960217dbc314e23146d1eb44338d7a9fdb62cdb53a6a28c673c184674d2d608c"
            ),
            "SF3/Models/SF3.ac": (
                "ed56e078f987ee7ac51fd6525086cd023975c959b8c8f8a7fcfe2f92bcbf3037"
            ),
            "SR-71/Blackbird-SR71A-lowpoly.ac": (
                "a1757f6ac1d0686a933a59affd1144cecd188515cc8cd530f52becfb2c15bdb7"
            ),
            "Saab-2000/Models/Saab-2000.ac": (
                "d27966ee25272906aa8b3a05b3fd32c4bda6b9222a0de730908c3c1a39b354fc"
            ),
            "Spitfire/Models/spitfireIIa.ac": (
                "65cb2dbf439f7f27cfda903bdd998ade3a913a4bb4c5812a32bc9ce8f0a67515"
            ),
            "T-38/Models/T38.ac": (
                "4cf99e0fc6667279f55f0e3109f34050112f86c2d963ecc0d69b1ace146ec394"
            ),
            "b1900d/Models/b1900d.ac": (
                "ab258922c15f722a3e278eb4e9e754decf96f12b12a04459490bc257aaeb2b78"
            ),
            "beech-200/Models/beech-200.ac": (
                "d421626af8239c54cbba46cf94960e39b4b39be65e37241cc7b8b68670039549"
            ),
            "beech99/Models/beech99.ac": (
                "3304f7ee58a212a32ba27a6dce6c612144767970ba8049afac27cb5ba18fd757"
            ),
            "bf109/Models/bf109g-ai.ac": (
                "2636361616643209859f9151e86572b7742880313a72d40a481632b724494d6c"
            ),
            "c172/Models/c172p.ac": (
                "3b1e98bca46d5d8a057d3855c7fd44a7a473dd51f0bfee8b5ed1fc377afc1b1a"
            ),
            "c177/Models/c177.ac": (
                "5b2eac2afebe48a5eb77e1b6fd0bcef3e179e586743f50d976bbbbbcc5519755"
            ),
            "c182/Models/c182.ac": (
                "c9da6fbf5adb3476191873674bf997896b899960d43f3e585cffa930ddbd38bb"
            ),
            "c182rg/Models/c182rg.ac": (
                "bcfb38340d9a06ae2514016dce84169fd717ea350d020f5962c5d56bce67bbec"
            ),
            "c310/Models/c310-dpm.ac": (
                "9b8b10584a8d852d9cdb8f4705549909519477a113cdebe199caa28df5b01922"
            ),
            "c310u3a/Models/c310u3a.ac": (
                "a9452018f12cb8d64eb716fe6018cb6508ec4b182cbcdfe23b9cb3b86a3360a4"
            ),
            "centrair-101/Models/centrair-101.ac": (
                "d89d13cc183c1e2607902b7d5bb8063a3c75b644cbcb35eb5011eac11e946e02"
            ),
            "cri-cri/Models/MC-15.ac": (
                "a1f8e1457eedb2910f2543da8ce31595fa5fec7dfd18b186f1640b2bbf80fc52"
            ),
            "ercoupe/Models/ercoupe.ac": (
                "f41d7f5856777047500168f965073813c7ab67bbb2afb796790c2b7b6c1b7cba"
            ),
            "eurofighter/Models/typhoon-ai.ac": (
                "1e1ab89922e22910b34449b3b7a9f1a812cb39207b130a7564d78c533002e239"
            ),
            "f-14b/Models/F-14-low-poly.ac": (
                "03605b4bd3ca7c10a4a5e39c98c32fd476636bf440eccce0db854f3345a3fcf9"
            ),
            "f16/Models/f-16_lowpoly.ac": (
                "ed7db6c341e23280356fa39f14a992599c1498e7a1b9fb36c9f1f173ccba6732"
            ),
            "pa-28/Models/pa-28.ac": (
                "28580fb0d1e035c7c1c3b9dd3e841ea78bcd6925ec00b6a4e7211dfef9603b51"
            ),
            "seahawk/Models/SeaHawk-FGA6-WV859.ac": (
                "0dfc8966954e01352b116f7ad0372010f5843ba297c146f1fd78d215d2243c1c"
            ),
            "tu154b/Model/tu154B.ac": (
                "21ccdf1483af9e3f6e4ba13767f9d9d3dea0f231d72b3aeaf115c6990fd2865e"
            ),
            "vulcanb2/Models/vulcanb2.ac": (
                "554dcbca1aa430eeda95e6f6c76b2bad792559a9b66e387d8b7ee3eb74e657f8"
            ),
        },
        max_bytes=1_000_000_000,
        installed=Path("/usr/share/games/flightgear/AI/Aircraft"),
    ),
}
